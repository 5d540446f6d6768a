import { Fragment, useEffect, useRef, useState, type ReactNode } from "react";
import type { Notice } from "../../types.js";
import { EmptyArt } from "../parts/art.js";
import { ChatScreen, type ChatScreenProps } from "./chat-screen.js";
import { useConnection, useInbox, useLayoutEffectOnClient } from "../hooks.js";
import { InboxList } from "../inbox/inbox-list.js";
import type { FindingProps } from "../inbox/new-message.js";
import { useReach } from "../inbox/reach.js";
import { LIST_WIDTH, listWidth, Separator } from "./separator.js";
import { PenIcon } from "../icons.js";
import { watchesBack } from "../parts/back.js";
import { useBackCloses } from "../parts/back-closes.js";
import { focusedIn, focusOn, isFocusNowhere } from "../parts/focus.js";
import { useKeptFocus } from "../parts/kept-focus.js";
import { focusThread } from "./thread-focus.js";
import { findKeys, useShortcuts } from "../parts/shortcuts.js";
import { useLanguage, useWords } from "../words/context.js";

export interface InboxProps extends FindingProps {
  /** The person whose conversation is open; null: none. */
  chatUserId: string | null;
  /** Their name; else what the list or the server says, else the id. */
  chatUserName?: string;
  /** Called when somebody is chosen: show their conversation, by `chatUserId`. */
  onOpen: (userId: string) => void;
  /** Called by the back button: show none. */
  onClose: () => void;
  /** The address of a conversation, so that it can be opened in another window. */
  hrefFor: (userId: string) => string;
  /** What to do where there are no conversations yet, in place of "New message". */
  emptyAction?: ReactNode;
  /** Stands above the list. */
  above?: ReactNode;
  /** Stands at the end of the list's head: who one is, a way out. */
  account?: ReactNode;
  /**
   * In a window that has room for one pane alone, Back closes the conversation, and "New message" and the list's search where they cover
   * it. `"list"`: it closes the latter two, for a page that keeps the open conversation in its address, by which Back leaves it anyway.
   */
  backCloses?: boolean | "list";
  /** The page has nothing but this: its keys work also while the focus is nowhere in particular. */
  isPage?: boolean;
  /** Where the separator stands at first, px; and where it was moved to. */
  initialListWidth?: number;
  onListWidth?: (width: number) => void;
  onNotice?: (notice: Notice) => void;
  onSignIn?: () => void;
  /** Passed on to the `ChatScreen`. */
  screen?: Omit<ChatScreenProps, "chatUserId" | "chatUserName" | "onBack" | "onNotice" | "onSignIn">;
}

/** List and conversation side by side, or one at a time where there is no room for two. */
export function Inbox(props: InboxProps): ReactNode {
  const {
    chatUserId,
    onOpen,
    onClose,
    hrefFor,
    emptyAction,
    above,
    account,
    isPage = false,
    backCloses = false,
  } = props;
  const words = useWords();
  const language = useLanguage();
  const { status } = useConnection();
  const { entries, loaded } = useInbox();
  const { suggestions, peopleSearch, rawIds } = props;
  const offered: FindingProps = {
    ...(suggestions && { suggestions }),
    ...(peopleSearch !== undefined && { peopleSearch }),
    ...(rawIds !== undefined && { rawIds }),
  };
  const canWrite = useReach(offered);
  const [width, setWidth] = useState(() => listWidth(props.initialListWidth ?? LIST_WIDTH.usual));
  const [isWriting, setWriting] = useState(false);
  /** Where there is room for one pane, it is the list while one looks for somebody. */
  const [finding, setFinding] = useState(0);
  const root = useRef<HTMLDivElement>(null);
  /** What had the focus when one began to look for somebody. */
  const before = useRef<Element | null>(null);
  const returns = useRef(false);
  /** Who was chosen in "New message", and whose conversation the page has not shown yet. */
  const awaited = useRef<string | null>(null);
  /** Whose conversation was left last. */
  const left = useRef<string | null>(null);

  const write = (wanted: boolean): void => {
    awaited.current = null;
    if (wanted) before.current = focusedIn(root.current);
    else returns.current = true;
    setWriting(wanted);
  };
  const find = (): void => {
    if (!canWrite) return;
    // A second time it leads there again.
    if (finding === 0) before.current = focusedIn(root.current);
    setWriting(false);
    setFinding(finding + 1);
  };
  useEffect(() => {
    if (finding === 0) return;
    const field = root.current?.querySelector<HTMLInputElement>(".tidings-search input");
    // Where there are no conversations yet there is nothing to search.
    if (!field) return setWriting(true);
    field.focus();
    field.select();
  }, [finding]);
  const open = (id: string): void => {
    // The same conversation does not begin anew, and takes no focus.
    returns.current = id === chatUserId && (isWriting || finding > 0);
    if (isWriting && id !== chatUserId) awaited.current = id;
    setWriting(false);
    setFinding(0);
    if (id !== chatUserId) onOpen(id);
  };
  useEffect(() => {
    // Where there is room for one pane, what had the focus is shown again by now.
    if (isWriting || finding > 0 || !returns.current) return;
    returns.current = false;
    focusOn(before.current);
  }, [isWriting, finding]);
  useShortcuts(root, isPage, {
    onFind: find,
    onStep: (step) => {
      // As they stand in the list, of which one may see a part.
      const rows = [...(root.current?.querySelectorAll<HTMLElement>(".tidings-conversations .tidings-entry") ?? [])];
      const at = rows.findIndex((row) => row.ariaCurrent !== null);
      rows[at === -1 ? (step === 1 ? 0 : rows.length - 1) : at + step]?.click();
    },
  });

  const shown = useRef(chatUserId);
  useLayoutEffectOnClient(() => {
    if (chatUserId === shown.current) return;
    left.current = shown.current;
    shown.current = chatUserId;
    if (chatUserId === null) return;
    // By the address, say: where there is room for one pane, it is the conversation's now.
    setWriting(false);
    setFinding(0);
  }, [chatUserId]);
  const watches = backCloses !== false;
  useEffect(() => (watches ? watchesBack() : undefined), [watches]);
  useBackCloses(backCloses === true && chatUserId !== null, onClose);
  useBackCloses(watches && (isWriting || (finding > 0 && chatUserId !== null)), () =>
    isWriting ? write(false) : setFinding(0),
  );
  const isThread = chatUserId !== null && !isWriting && finding === 0;
  useEffect(() => {
    const isAwaited = chatUserId !== null && chatUserId === awaited.current;
    awaited.current = null;
    if (isAwaited && isFocusNowhere(root.current)) focusThread(root.current?.querySelector(".tidings-pane-thread"));
  }, [chatUserId]);
  useKeptFocus(root, {
    inside: ".tidings-panes-row, .tidings-pane-thread, .tidings-inbox",
    goTo: () => {
      if (awaited.current !== null) return;
      if (isThread) return focusThread(root.current?.querySelector(".tidings-pane-thread"));
      // To where the conversation was opened, if it is there still.
      const rows = [...(root.current?.querySelectorAll("a.tidings-entry") ?? [])];
      const href = left.current === null ? null : hrefFor(left.current);
      focusOn(
        rows.find((row) => row.getAttribute("href") === href) ??
          root.current?.querySelector(".tidings-inbox :is(button, input, a)") ??
          null,
      );
    },
  });

  /** The list says so, and there is nothing beside it. */
  const isSignedOut = status === "unauthorized" && !loaded && entries.length === 0 && chatUserId === null;
  const name = props.chatUserName ?? entries.find((entry) => entry.user.id === chatUserId)?.user.name;
  const { onNotice, onSignIn } = props;
  return (
    <div {...language} ref={root} className="tidings tidings-panes">
      <div className="tidings-panes-row" data-alone={isSignedOut || undefined} data-open={isThread}>
        <div
          className="tidings-pane-list"
          style={{ "--t-list": `${width}px` } as object}
          onKeyDown={(event) => {
            if (event.key !== "Escape" || event.defaultPrevented || finding === 0) return;
            event.preventDefault();
            returns.current = true;
            setFinding(0);
          }}
          onBlur={({ currentTarget, relatedTarget }) => {
            if (relatedTarget && !currentTarget.contains(relatedTarget)) setFinding(0);
          }}
        >
          {above !== undefined && <div className="tidings-slot">{above}</div>}
          <InboxList
            activeId={chatUserId}
            onOpen={open}
            hrefFor={hrefFor}
            isWriting={isWriting}
            onWriting={write}
            {...offered}
            {...(emptyAction !== undefined && { emptyAction })}
            {...(account !== undefined && { account })}
            {...(onSignIn && { onSignIn })}
          />
        </div>
        <Separator
          width={width}
          onWidth={(next) => {
            setWidth(next);
            props.onListWidth?.(next);
          }}
        />
        <div className="tidings-pane-thread">
          {chatUserId !== null ? (
            <ChatScreen
              {...props.screen}
              chatUserId={chatUserId}
              {...(name !== undefined && { chatUserName: name })}
              {...(onNotice && { onNotice })}
              {...(onSignIn && { onSignIn })}
              onBack={onClose}
            />
          ) : (
            <section className="tidings-screen" aria-label={words.noneChosen}>
              <div className="tidings-empty">
                <EmptyArt />
                <h2>{words.chooseTitle}</h2>
                <p>{canWrite ? <ChooseHint /> : words.nobodyYetHint}</p>
                {canWrite && (
                  <button type="button" className="tidings-button" data-primary="true" onClick={() => write(true)}>
                    <PenIcon /> {words.newMessage}
                  </button>
                )}
              </div>
            </section>
          )}
        </div>
      </div>
    </div>
  );
}

/** A sentence with keys in it. */
function ChooseHint(): ReactNode {
  const [before, after] = useWords().chooseHint("\0").split("\0");
  return (
    <>
      {before}
      {findKeys().map((key, at) => (
        <Fragment key={key}>
          {at > 0 && " "}
          <kbd>{key}</kbd>
        </Fragment>
      ))}
      {after}
    </>
  );
}
