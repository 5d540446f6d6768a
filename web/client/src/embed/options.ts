/**
 * What a page says to `mount()`, held against what can be meant: one who is wrong is told in a sentence, at the call.
 *
 * An option that is undefined or null was not given: a template writes what it has. Only `user: null` says something: nobody
 * is signed in.
 */
import type { Notice, Person, TokenReason } from "../types.js";
import { userIdProblem } from "../react/inbox/user-id.js";
import { english, type Words } from "../react/words/en.js";

export interface MountOptions {
  /** Address of the API, such as "/api/message". */
  url: string;
  /** "launcher": a button in the page's corner that opens the inbox; "inbox": list and conversation; "conversation": one alone. */
  view: "launcher" | "inbox" | "conversation";
  /** The user id of the other person: of a conversation; of an inbox and a launcher, whose conversation is open at first. */
  with?: string | null;
  /** Their name; else the one that the server tells. */
  withName?: string | null;
  /** The user id of whoever is signed in, which saves a request; null: nobody. By default the server is asked, by the cookie. */
  user?: string | null;
  /** The bearer token, or what gets one (null: nobody is signed in any more); without it requests carry the page's cookies. */
  token?: string | ((why: { reason: TokenReason }) => Promise<string | null> | string | null) | null;
  /**
   * Where one signs in: an address to go to, in which `{here}` becomes that of the page, encoded; or what to do. Without it there
   * is no launcher while nobody is signed in.
   */
  signIn?: string | (() => void) | null;
  /** By default the page's own (`lang`) where there are words for it, else English. */
  language?: "en" | "ar" | null;
  /** Words of your own in place of some. */
  words?: Partial<Words> | null;
  /** "page" (the default): as `color-scheme` of the page says; "system": as the user's system does. */
  theme?: "page" | "system" | "light" | "dark" | null;
  /** The launcher's corner: where lines end (the default), or where they begin. */
  corner?: "end" | "start" | null;
  /** The server has `search_people`: the search and "New message" find those people too. */
  peopleSearch?: boolean | null;
  /** A user id may be typed, of somebody whom nobody finds. */
  rawIds?: boolean | null;
  /** People whom the search and "New message" offer besides those one has written with; not each has a picture. */
  people?: readonly (Omit<Person, "avatar_url"> & Partial<Pick<Person, "avatar_url">>)[] | null;
  /** Told how many messages are unread, when that is known and whenever it changes. */
  onUnread?: ((unread: number) => void) | null;
  /** Told of each failure once; for your toasts. */
  onNotice?: ((notice: Notice) => void) | null;
}

/** The same, with nothing that is null but `user`, with addresses that are whole, and people as the screens take them. */
export type Wanted = {
  [K in Exclude<keyof MountOptions, "user" | "people">]: NonNullable<MountOptions[K]> | undefined;
} & {
  url: string;
  view: MountOptions["view"];
  user: string | null | undefined;
  people: readonly Person[] | undefined;
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
const isBoolean = (value: unknown): boolean => typeof value === "boolean";
const isFunction = (value: unknown): boolean => typeof value === "function";

function oneOf(...allowed: string[]): { holds: (value: unknown) => boolean; is: string } {
  const named = allowed.map((each) => `"${each}"`);
  return {
    holds: (value) => allowed.includes(value as string),
    is: `is ${named.slice(0, -1).join(", ")} or ${named.at(-1) ?? ""}`,
  };
}

const USER_ID = { holds: (value: unknown) => typeof value === "string", is: 'is a user id, a text: "42", not 42' };

const RULES: Record<keyof MountOptions, { holds: (value: unknown) => boolean; is: string }> = {
  url: { holds: isText, is: 'is the address of the API, such as "/api/message"' },
  view: oneOf("launcher", "inbox", "conversation"),
  with: USER_ID,
  withName: { holds: isText, is: "is a name, a text" },
  user: USER_ID,
  token: {
    // As it stands in a header: what others would refuse again and again.
    holds: (value) => (typeof value === "string" ? /^[\x21-\x7e]+$/.test(value) : isFunction(value)),
    is: 'is a token, without "Bearer" and blanks, or a function that answers one',
  },
  signIn: { holds: (value) => isText(value) || isFunction(value), is: "is an address, or a function" },
  language: oneOf("en", "ar"),
  words: { holds: isObject, is: "is an object of words" },
  theme: oneOf("page", "system", "light", "dark"),
  corner: oneOf("end", "start"),
  peopleSearch: { holds: isBoolean, is: "is true or false" },
  rawIds: { holds: isBoolean, is: "is true or false" },
  people: { holds: Array.isArray, is: "is a list of people, each with id and name" },
  onUnread: { holds: isFunction, is: "is a function" },
  onNotice: { holds: isFunction, is: "is a function" },
};

function refuse(sentence: string): never {
  throw new TypeError(`Tidings: mount() ${sentence}`);
}

function shown(value: unknown): string {
  const text = typeof value === "string" || isObject(value) ? (JSON.stringify(value) ?? "") : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** The whole of an address to which the page would go or send, the same in whichever page of a host it stands. */
function wholeAddress(name: string, value: string): string {
  let address: URL | null = null;
  try {
    address = new URL(value, document.baseURI);
  } catch {
    // Told below.
  }
  // Another scheme is code (javascript:), or leads nowhere.
  if (!address || !/^https?:$/.test(address.protocol)) {
    refuse(`needs an address of http or https in "${name}", not ${shown(value)}.`);
  }
  if (!/^\s*(https?:|\/)/i.test(value)) {
    refuse(
      `needs an address in "${name}" that begins with / or https://, as "/api/message" does, not ${shown(value)}.`,
    );
  }
  return address.href;
}

/** The address of an API, to which paths are added. */
function apiAddress(value: string): string {
  const whole = wholeAddress("url", value);
  const { search, hash, username } = new URL(whole);
  if (search || hash || username) refuse(`needs an address without ?, # and user in "url", not ${shown(value)}.`);
  return whole;
}

/** Those that are given, each known and of the kind that English has; of a group of words, such as `tick`, all. */
function readWords(given: object, model: object, group: string): object {
  const known = Object.keys(model);
  const entries = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  for (const [name, value] of entries) {
    const place = `${group}.${name}`;
    if (!Object.hasOwn(model, name)) refuse(`knows no "${place}". It knows ${known.join(", ")}.`);
    const wanted = (model as Record<string, unknown>)[name];
    const kind = isObject(wanted)
      ? "an object"
      : typeof wanted === "function"
        ? "a function that answers a text"
        : "a text";
    if (typeof value !== typeof wanted) refuse(`was given ${shown(value)} as "${place}", which is ${kind}.`);
    if (!isObject(wanted)) continue;
    const lacking = Object.keys(wanted).find((each) => (value as Record<string, unknown>)[each] == null);
    if (lacking !== undefined) refuse(`needs "${place}.${lacking}" too: "${place}" is taken as a whole.`);
    readWords(value as object, wanted, place);
  }
  return Object.fromEntries(entries);
}

function wordsOf(given: object): Partial<Words> {
  const words = readWords(given, english, "words") as Partial<Words>;
  const { lang, dir } = words;
  if (dir !== undefined && dir !== "ltr" && dir !== "rtl") {
    refuse(`was given ${shown(dir)} as "words.dir", which is "ltr" or "rtl".`);
  }
  try {
    Intl.getCanonicalLocales(lang);
  } catch {
    refuse(`was given ${shown(lang)} as "words.lang", which is a language, such as "pt-BR".`);
  }
  return words;
}

function peopleOf(given: readonly unknown[]): Person[] {
  return given.map((each, at) => {
    const place = `people[${at}]`;
    if (!isObject(each)) refuse(`was given ${shown(each)} as "${place}", which has an id and a name.`);
    const { id, name, avatar_url: picture = null } = each;
    if (id === undefined || id === null) refuse(`needs "${place}.id", which ${USER_ID.is}.`);
    checkUserId(`${place}.id`, id);
    if (!isText(name)) refuse(`was given ${shown(name)} as "${place}.name", which ${RULES.withName.is}.`);
    if (picture !== null && typeof picture !== "string") {
      refuse(`was given ${shown(picture)} as "${place}.avatar_url", which is an address, or null.`);
    }
    return { id: id as string, name: name as string, avatar_url: picture };
  });
}

/** Throws a `TypeError` where this can be nobody's user id. */
export function checkUserId(name: string, value: unknown): void {
  const problem = typeof value === "string" ? userIdProblem(value, null, english.userId) : "A user id is a text.";
  if (problem !== null) throw new TypeError(`Tidings: ${shown(value)} cannot be the user id of "${name}". ${problem}`);
}

/** Throws a `TypeError` where this is given, and no name. */
export function checkName(name: string, value: unknown): void {
  if (value === undefined || value === null || isText(value)) return;
  throw new TypeError(`Tidings: ${shown(value)} cannot be the name in "${name}", which ${RULES.withName.is}.`);
}

/** The options of a call. Throws a `TypeError` that says what to write instead. */
export function readOptions(element: unknown, given: unknown): Wanted {
  if (!(element instanceof Element)) {
    refuse(`needs an element that is in the page, such as document.body; it was given ${shown(element)}.`);
  }
  if (typeof given !== "object" || given === null) {
    refuse('needs options: mount(element, { url: "/api/message", view: "launcher" }).');
  }
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(RULES, name)) {
      refuse(`knows no option "${name}". It knows ${Object.keys(RULES).join(", ")}.`);
    }
    const { holds, is } = RULES[name as keyof MountOptions];
    if (value !== undefined && value !== null && !holds(value))
      refuse(`was given ${shown(value)} as "${name}", which ${is}.`);
  }
  const wanted = Object.fromEntries(
    Object.entries(given).filter(([name, value]) => value !== undefined && (value !== null || name === "user")),
  ) as unknown as Wanted;
  for (const name of ["url", "view"] as const) {
    if (wanted[name] === undefined) refuse(`needs "${name}", which ${RULES[name].is}.`);
  }
  if (wanted.with !== undefined) checkUserId("with", wanted.with);
  if (typeof wanted.user === "string") checkUserId("user", wanted.user);
  if (wanted.view === "conversation" && wanted.with === undefined) {
    refuse('needs "with", the user id of the other person, for the view "conversation".');
  }
  const { signIn, words, people } = wanted;
  return {
    ...wanted,
    url: apiAddress(wanted.url),
    words: words && wordsOf(words),
    people: people && peopleOf(people),
    signIn: typeof signIn === "string" ? wholeAddress("signIn", signIn) : signIn,
  };
}
