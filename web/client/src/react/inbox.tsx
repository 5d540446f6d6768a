import { useEffect, useRef, useState, type ReactNode } from "react";
import type { Notice, Person } from "../types.js";
import { ConnectionBanner } from "./banner.js";
import { ChatScreen, type ChatScreenProps } from "./chat-screen.js";
import { useConnection, useInbox } from "./hooks.js";
import { InboxList } from "./inbox-list.js";
import { LIST_WIDTH, listWidth, Separator } from "./separator.js";
import { useShortcuts } from "./shortcuts.js";
import { useLanguage, useWords } from "./words/context.js";

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
  /** Stands above the list: who one is, a way out. */
  above?: ReactNode;
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
  const { chatUserId, onOpen, onClose, hrefFor, suggestions, emptyAction, above } = props;
  const words = useWords();
  const language = useLanguage();
  const { userId } = useConnection();
  const { entries } = useInbox();
  const [width, setWidth] = useState(() => listWidth(props.initialListWidth ?? LIST_WIDTH.usual));
  const [isWriting, setWriting] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  /** What had the focus when "New message" was opened. */
  const before = useRef<Element | null>(null);

  const write = (wanted: boolean): void => {
    if (wanted) before.current = document.activeElement;
    setWriting(wanted);
    if (!wanted) focus(before.current);
  };
  const open = (id: string): void => {
    setWriting(false);
    // The same conversation does not begin anew, and takes no focus.
    if (id === chatUserId) focus(before.current);
    else onOpen(id);
  };
  useShortcuts(root, {
    onNew: () => write(true),
    onStep: (step) => {
      const at = entries.findIndex((entry) => entry.user.id === chatUserId);
      const next = entries[at === -1 ? (step === 1 ? 0 : entries.length - 1) : at + step];
      if (next) open(next.user.id);
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
  const isOpen = chatUserId !== null && !isSelf;
  const name = props.chatUserName ?? entries.find((entry) => entry.user.id === chatUserId)?.user.name;
  const { onNotice, onSignIn } = props;
  return (
    <div {...language} ref={root} className="tidings tidings-panes">
      <div className="tidings-panes-row" data-open={chatUserId !== null} data-writing={isWriting}>
        <div className="tidings-pane-list" style={{ "--t-list": `${width}px` } as object}>
          {above !== undefined && <div className="tidings-slot">{above}</div>}
          {!isOpen && <ConnectionBanner {...(onSignIn && { onSignIn })} />}
          <InboxList
            activeId={chatUserId}
            onOpen={open}
            hrefFor={hrefFor}
            isWriting={isWriting}
            onWriting={write}
            {...(suggestions && { suggestions })}
            {...(emptyAction !== undefined && { emptyAction })}
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
            <div className="tidings-empty">
              <p className="tidings-empty-title">{isSelf ? words.selfTitle : words.chooseTitle}</p>
              <p>{isSelf ? words.selfHint : words.chooseHint}</p>
              {isSelf && (
                <button type="button" className="tidings-button" onClick={onClose}>
                  {words.back}
                </button>
              )}
            </div>
          )}
        </div>
      </div>
    </div>
  );
}

function focus(element: Element | null): void {
  if (element instanceof HTMLElement && element.isConnected) element.focus({ preventScroll: true });
}
