/**
 * The chat for a page without a build: `mount(element, options)`. This module and all that it needs, React and the styles
 * included, is one file, which Tidings serves as `embed.js` and the npm package has as `tidings/embed`.
 */
import { createRoot } from "react-dom/client";
import type { ChatLauncherHandle } from "../react/launcher/chat-launcher.js";
import { linkedPerson, onLink } from "../react/launcher/link.js";
import { arabic } from "../react/words/ar.js";
import { english, type Words } from "../react/words/en.js";
import { isolate } from "../store.js";
import { checkName, checkUserId, readOptions, type MountOptions, type Wanted } from "./options.js";
import { personOf, type Person } from "./person.js";
import { placeIn } from "./place.js";
import { View } from "./view.js";

export type { Notice, TokenReason } from "../types.js";
export type { MountOptions } from "./options.js";
export type { Words } from "../react/words/en.js";

export interface Mounted {
  /** Take it out of the page, with its styles and listeners, and with its connection if nothing else uses that. */
  unmount(): void;
  /** Open the launcher's panel; other views are always open. */
  open(): void;
  /** Close it, or, of an inbox, the conversation. */
  close(): void;
  /** Show the conversation with this person; the name is for one whom neither the list nor the server names. */
  show(userId: string, name?: string | null): void;
  /** The user signs out: forget them, in this browser's other tabs and on its disk too. Resolves when it is done. */
  signOut(): Promise<void>;
}

const LANGUAGES = { en: english, ar: arabic };

/** The words, if the page or its language asks for any; undefined: English, in the direction of the page. */
function wordsFor(element: Element, { language, words }: Wanted): Words | undefined {
  const page = element.closest("[lang]")?.getAttribute("lang")?.toLowerCase().split("-")[0];
  const chosen = language ?? (page === "ar" ? page : undefined);
  if (chosen === undefined && words === undefined) return undefined;
  return { ...LANGUAGES[chosen ?? "en"], ...words };
}

/** Show the chat in this element. Throws a `TypeError` that says what is wrong with the options. */
export function mount(element: Element, options: MountOptions): Mounted {
  const wanted = readOptions(element, options);
  const { view, theme, onUnread } = wanted;
  const words = wordsFor(element, wanted);
  const signIn = typeof wanted.signIn === "string" ? goTo(wanted.signIn) : wanted.signIn;
  const { person, leave } = personOf(wanted);
  const place = placeIn(element, view, theme ?? "page");
  const root = createRoot(place.inside);
  let shown = (view === "inbox" ? linkedPerson() : null) ?? wanted.with ?? null;
  /** What the page says of people, by their ids. */
  const names = new Map<string, string>();
  if (wanted.with !== undefined && wanted.withName !== undefined) names.set(wanted.with, wanted.withName);
  let isAsked = false;
  let isThere = true;

  let launcher: ChatLauncherHandle | null = null;
  /** What was asked of the launcher before it was known who is signed in. */
  let asked: ((launcher: ChatLauncherHandle) => void) | null = null;
  const ask = (act: (launcher: ChatLauncherHandle) => void): void => {
    if (launcher) act(launcher);
    else asked = act;
  };
  const hold = (handle: ChatLauncherHandle | null): void => {
    launcher = handle;
    if (!handle) return;
    asked?.(handle);
    asked = null;
  };

  const draw = (): void => {
    root.render(
      <View
        person={person}
        wanted={wanted}
        words={words}
        shown={shown}
        name={names.get(shown ?? "")}
        isAsked={isAsked}
        onShow={show}
        onSignIn={signIn}
        launcher={hold}
      />,
    );
  };
  const show = (userId: string | null): void => {
    if (!isThere) return;
    shown = userId;
    isAsked = true;
    draw();
  };
  const stop = onUnread && tellUnread(person, onUnread);
  // The launcher listens itself, also where it is React's.
  const unlink = view === "inbox" ? onLink(show) : null;
  draw();

  return {
    unmount: () => {
      if (!isThere) return;
      isThere = false;
      stop?.();
      unlink?.();
      root.unmount();
      place.remove();
      leave();
    },
    open: () => ask((handle) => handle.open()),
    close: () => {
      ask((handle) => handle.close());
      if (view === "inbox") show(null);
    },
    show: (userId, name) => {
      checkUserId("show", userId);
      checkName("show", name);
      if (view === "launcher") return ask((handle) => handle.show(userId, name ?? undefined));
      if (name !== undefined && name !== null) names.set(userId, name);
      show(userId);
    },
    signOut: () => person.signOut(),
  };
}

/** `{here}` in it becomes the place at which one is by then, so that one comes back to it. */
function goTo(address: string): () => void {
  return () => {
    const here = encodeURIComponent(`${location.pathname}${location.search}${location.hash}`);
    location.assign(address.replace("{here}", here));
  };
}

/** Tell how much is unread, once that is known, and when it changes; answers the undo. */
function tellUnread({ client, signedIn }: Person, fn: (unread: number) => void): () => void {
  let told: number | null = null;
  const look = (): void => {
    const { loaded, unread } = client.inbox.getSnapshot();
    const known = signedIn.getSnapshot() === "no" ? 0 : loaded ? unread : null;
    if (known === null || known === told) return;
    told = known;
    isolate(fn, known);
  };
  const load = (): void => {
    if (signedIn.getSnapshot() === "yes") void client.inbox.load();
    look();
  };
  const undo = [client.inbox.subscribe(look), signedIn.subscribe(load)];
  load();
  return () => undo.forEach((each) => each());
}
