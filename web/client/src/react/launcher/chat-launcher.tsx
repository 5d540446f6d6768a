/** A button in a corner of the page that tells how much is unread, and opens the conversations in a panel. */
import { forwardRef, useEffect, useId, useImperativeHandle, useRef, useState, type KeyboardEvent } from "react";
import { useConnection, useInbox, useLatest, useLayoutEffectOnClient } from "../hooks.js";
import { CloseIcon, MessagesIcon } from "../icons.js";
import { Announcements, useAnnouncer } from "../parts/announcer.js";
import { watchesBack } from "../parts/back.js";
import { focusedIn } from "../parts/focus.js";
import { useMedia } from "../parts/media.js";
import { Inbox, type InboxProps } from "../screen/inbox.js";
import { useWords } from "../words/context.js";
import { Corner, SignInCorner, type CornerName } from "./corner.js";
import { linkedPerson, linkTo, onLink } from "./link.js";
import { Panel, SMALL } from "./panel.js";

export interface ChatLauncherProps
  extends Pick<InboxProps, "peopleSearch" | "suggestions" | "rawIds" | "emptyAction" | "account" | "onNotice"> {
  /** The person whose conversation it opens at first; else the list, or the one conversation if there is only one. */
  chatUserId?: string;
  /** Their name; else what the list or the server says, else the id. */
  chatUserName?: string;
  /** In which corner below: where lines end (the default), or where they begin. */
  corner?: CornerName;
  /** The address of a conversation, so that it can be opened in another window; by default that of this page, with `#tidings/ID`. */
  hrefFor?: (userId: string) => string;
  /** Called by the button when the sign-in has ended; without it there is no button then. */
  onSignIn?: () => void;
  /** Passed on to the `ChatScreen`. */
  screen?: NonNullable<InboxProps["screen"]>;
}

export interface ChatLauncherHandle {
  open: () => void;
  close: () => void;
  /** Open the conversation with this person; the name is for one whom neither the list nor the server names. */
  show: (userId: string, name?: string) => void;
}

export const ChatLauncher = forwardRef<ChatLauncherHandle, ChatLauncherProps>(function ChatLauncher(props, handle) {
  const { chatUserId: first, chatUserName, corner = "end", hrefFor = linkTo, onSignIn, screen, ...inbox } = props;
  const words = useWords();
  const { status } = useConnection();
  const { entries, unread, loaded, hasMore } = useInbox();
  const [isOpen, setOpen] = useState(false);
  /** Whose conversation is shown; null: the list; undefined: nobody has chosen yet. */
  const [chosen, setChosen] = useState<string | null | undefined>(first);
  /** What `show` was told. */
  const [names, setNames] = useState<ReadonlyMap<string, string>>(new Map());
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const returns = useRef(false);
  const isWhole = useMedia(SMALL);
  const announcer = useAnnouncer();
  const id = useId();

  useLayoutEffectOnClient(() => {
    if (!isOpen || !loaded || chosen !== undefined) return;
    const [only, ...others] = entries;
    setChosen(only && others.length === 0 && !hasMore ? only.user.id : null);
  }, [isOpen, loaded, chosen, entries, hasMore]);

  const act: ChatLauncherHandle = {
    open: () => setOpen(true),
    close: () => {
      // Of a panel that is the whole screen nothing outside can have it.
      returns.current = isWhole || (root.current?.contains(focusedIn(root.current)) ?? false);
      setOpen(false);
    },
    show: (userId, name) => {
      if (name !== undefined) setNames(new Map(names).set(userId, name));
      setChosen(userId);
      setOpen(true);
    },
  };
  const latest = useLatest(act);
  useImperativeHandle(
    handle,
    () => ({
      open: () => latest.current.open(),
      close: () => latest.current.close(),
      show: (userId, name) => latest.current.show(userId, name),
    }),
    [latest],
  );
  useEffect(() => watchesBack(), []);
  useEffect(() => {
    const linked = linkedPerson();
    if (linked !== null) latest.current.show(linked);
    return onLink((userId) => latest.current.show(userId));
  }, [latest]);
  useEffect(() => {
    // The panel is gone, and took the focus with it; only now is the button there, where it was away.
    if (isOpen || !returns.current) return;
    returns.current = false;
    button.current?.focus({ preventScroll: true });
  }, [isOpen]);

  /** Said when it grows while the panel is closed; what was unread before one came is seen at the button. */
  const known = useRef<number | null>(null);
  const { say } = announcer;
  const now = useLatest({ isOpen, words });
  useEffect(() => {
    if (!loaded) return;
    if (known.current !== null && unread > known.current && !now.current.isOpen) say(now.current.words.unread(unread));
    known.current = unread;
  }, [loaded, unread, now, say]);

  const onKeyDown = (event: KeyboardEvent): void => {
    // What is open inside takes it first.
    if (event.key !== "Escape" || event.defaultPrevented || event.nativeEvent.isComposing || !isOpen) return;
    event.preventDefault();
    event.stopPropagation();
    act.close();
  };

  // Whoever is in the middle of something keeps it: the screen says there that the sign-in has ended.
  if (status === "unauthorized" && !isOpen)
    return onSignIn ? <SignInCorner corner={corner} onSignIn={onSignIn} /> : null;
  const title = names.get(chosen ?? "") ?? (chosen === first ? chatUserName : undefined);
  const name = isOpen ? words.closeMessages : unread > 0 ? words.messagesUnread(unread) : words.messages;
  return (
    <Corner ref={root} corner={corner} onKeyDown={onKeyDown}>
      <button
        ref={button}
        type="button"
        className="tidings-launcher-button"
        aria-label={name}
        title={name}
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={isOpen ? act.close : act.open}
      >
        {isOpen ? <CloseIcon /> : <MessagesIcon />}
        {!isOpen && unread > 0 && (
          <span className="tidings-badge" aria-hidden="true">
            {words.badge(unread)}
          </span>
        )}
      </button>
      {isOpen && (
        <Panel id={id} onClose={act.close}>
          <Inbox
            {...inbox}
            chatUserId={chosen ?? null}
            {...(title !== undefined && { chatUserName: title })}
            onOpen={setChosen}
            onClose={() => setChosen(null)}
            backCloses={isWhole}
            hrefFor={hrefFor}
            {...(onSignIn && { onSignIn })}
            screen={{ autoFocus: true, ...screen }}
          />
        </Panel>
      )}
      <Announcements announcer={announcer} />
    </Corner>
  );
});
