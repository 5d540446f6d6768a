import { Fragment, useEffect, useRef, useState, type ReactNode } from "react";
import type { Notice, Person } from "../../types.js";
import { EmptyArt } from "../parts/art.js";
import { ChatScreen, type ChatScreenProps } from "./chat-screen.js";
import { useConnection, useInbox } from "../hooks.js";
import { InboxList } from "../inbox/inbox-list.js";
import { LIST_WIDTH, listWidth, Separator } from "./separator.js";
import { PenIcon } from "../icons.js";
import { findKeys, useShortcuts } from "../parts/shortcuts.js";
import { userIdProblem } from "../inbox/user-id.js";
import { useLanguage, useWords } from "../words/context.js";

export interface InboxProps {
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
  /** People to offer under "New message". */
  suggestions?: readonly Person[];
  /** What to do where there are no conversations yet, in place of "New message". */
  emptyAction?: ReactNode;
  /** Stands above the list. */
  above?: ReactNode;
  /** Stands at the end of the list's head: who one is, a way out. */
  account?: ReactNode;
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
  const { chatUserId, onOpen, onClose, hrefFor, suggestions, emptyAction, above, account, isPage = false } = props;
  const words = useWords();
  const language = useLanguage();
  const { userId } = useConnection();
  const { entries } = useInbox();
  const [width, setWidth] = useState(() => listWidth(props.initialListWidth ?? LIST_WIDTH.usual));
  const [isWriting, setWriting] = useState(false);
  /** Where there is room for one pane, it is the list while one looks for somebody. */
  const [finding, setFinding] = useState(0);
  const root = useRef<HTMLDivElement>(null);
  /** What had the focus when one began to look for somebody. */
  const before = useRef<Element | null>(null);
  const returns = useRef(false);

  const write = (wanted: boolean): void => {
    if (wanted) before.current = focused(root.current);
    else returns.current = true;
    setWriting(wanted);
  };
  const find = (): void => {
    // A second time it leads there again.
    if (finding === 0) before.current = focused(root.current);
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
    setWriting(false);
    setFinding(0);
    if (id !== chatUserId) onOpen(id);
  };
  useEffect(() => {
    // Where there is room for one pane, what had the focus is shown again by now.
    if (isWriting || finding > 0 || !returns.current) return;
    returns.current = false;
    focus(before.current);
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
  useEffect(() => {
    const left = shown.current;
    shown.current = chatUserId;
    // What had the focus went with the conversation: it returns to where that was opened.
    if (left === null || chatUserId !== null || document.activeElement !== document.body) return;
    for (const link of root.current?.querySelectorAll("a") ?? []) {
      if (link.getAttribute("href") === hrefFor(left)) link.focus();
    }
  }, [chatUserId, hrefFor]);

  const isSelf = chatUserId !== null && chatUserId === userId;
  /** Why nobody can have this address, which may come out of a link. */
  const problem = chatUserId === null || isSelf ? null : userIdProblem(chatUserId, userId, words.userId);
  const isOpen = chatUserId !== null && !isSelf && problem === null;
  const title = isSelf ? words.selfTitle : problem === null ? null : words.nobodyTitle;
  const name = props.chatUserName ?? entries.find((entry) => entry.user.id === chatUserId)?.user.name;
  const { onNotice, onSignIn } = props;
  return (
    <div {...language} ref={root} className="tidings tidings-panes">
      <div className="tidings-panes-row" data-open={chatUserId !== null && !isWriting && finding === 0}>
        <div
          className="tidings-pane-list"
          style={{ "--t-list": `${width}px` } as object}
          onKeyDown={(event) => {
            if (event.key !== "Escape" || event.defaultPrevented || finding === 0) return;
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
            {...(suggestions && { suggestions })}
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
          {isOpen ? (
            <ChatScreen
              {...props.screen}
              chatUserId={chatUserId}
              {...(name !== undefined && { chatUserName: name })}
              {...(onNotice && { onNotice })}
              {...(onSignIn && { onSignIn })}
              onBack={onClose}
            />
          ) : (
            <section className="tidings-screen" aria-label={title ?? words.noneChosen}>
              <div className="tidings-empty">
                <EmptyArt />
                <h2>{title ?? words.chooseTitle}</h2>
                <p>{isSelf ? words.selfHint : (problem ?? <ChooseHint />)}</p>
                {title !== null ? (
                  <button type="button" className="tidings-button" onClick={onClose}>
                    {words.back}
                  </button>
                ) : (
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

/** What has the focus; of a shadow root a document knows only the host. */
function focused(root: HTMLElement | null): Element | null {
  const around = root?.getRootNode();
  return around instanceof Document || around instanceof ShadowRoot ? around.activeElement : null;
}

function focus(element: Element | null): void {
  if (element instanceof HTMLElement && element.isConnected) element.focus({ preventScroll: true });
}
