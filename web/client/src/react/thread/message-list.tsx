import { useCallback, useMemo, useState, type ReactNode } from "react";
import type { Conversation, ConversationSnapshot, Person } from "../../types.js";
import { Avatar } from "../parts/avatar.js";
import { useCopying } from "./copying.js";
import { useFloatingDay } from "./floating-day.js";
import { Dots, DownIcon } from "../icons.js";
import { MessageItem } from "./message-item.js";
import { MessageMenu, type MessageActions } from "./message-menu.js";
import { useReadReceipts } from "./read-receipts.js";
import { useListKeys } from "./list-keys.js";
import type { Bubble, Row } from "./rows.js";
import { ANCHOR } from "./thread-place.js";
import type { Thread } from "./thread.js";
import { dayText, fullTime } from "../words/time-text.js";
import { useToday } from "../parts/today.js";
import { useWords } from "../words/context.js";

interface MessageListProps {
  conversation: Conversation;
  snapshot: ConversationSnapshot;
  thread: Thread;
  person: Person;
  /** As it stands in a sentence. */
  name: string;
  /** Stands where there are no messages yet. */
  emptyAction?: ReactNode;
  /** What the menu of a message can do. */
  actions: MessageActions;
}

/** The messages of a conversation, with days, the unread line, what is under way, and the way to the latest. */
export function MessageList(props: MessageListProps): ReactNode {
  const { conversation, snapshot, thread, name, emptyAction, actions } = props;
  const { rows, opening, newCount } = thread;
  const { list, column, pinned, onScroll, onFold, toEnd } = thread.scroll;
  const words = useWords();
  const [focused, setFocused] = useState<string | null>(null);
  const readUpto = snapshot.watermarks.read_upto;
  const today = useToday();
  const onKeyDown = useListKeys(thread);
  const onCopy = useCopying(rows, name);

  const keys = useMemo(() => rows.filter((row) => row.kind === "bubble").map((row) => row.key), [rows]);
  const tabStop = focused !== null && keys.includes(focused) ? focused : keys.at(-1);
  useReadReceipts(list, thread.seen, rows);
  const day = useFloatingDay(list, rows);

  // What is there when the list opens does not arrive.
  const [openedAt, setOpenedAt] = useState<number | null>(null);
  if (!opening && openedAt === null && snapshot.loaded) setOpenedAt(snapshot.messages.at(-1)?.seq ?? 0);
  const arrives = ({ seq }: Bubble): boolean => openedAt !== null && (seq ?? Infinity) > openedAt;

  const onRetry = useCallback((clientId: string) => conversation.retry(clientId), [conversation]);
  const onDelete = useCallback((clientId: string) => conversation.discard(clientId), [conversation]);

  const [menu, setMenu] = useState<{ key: string; article: HTMLElement } | null>(null);
  const onMenu = useCallback((key: string, article: HTMLElement) => setMenu({ key, article }), []);
  const chosen = menu && rows.find((row) => row.key === menu.key);

  const item = (row: Row): ReactNode => {
    switch (row.kind) {
      case "day":
        return (
          <li key={row.key} className="tidings-day">
            <time dateTime={row.at}>{dayText(row.at, today, words)}</time>
          </li>
        );
      case "unread":
        return (
          <li key={row.key} className="tidings-unread-line" data-unread-line="">
            <span>{words.newMessages(row.count)}</span>
          </li>
        );
      case "system":
        return (
          <li
            key={row.key}
            className="tidings-system"
            {...{ [ANCHOR]: row.key }}
            title={fullTime(row.at, words)}
            dir="auto"
          >
            {row.text}
          </li>
        );
      case "bubble":
        return (
          <MessageItem
            key={row.key}
            rowKey={row.key}
            bubble={row.bubble}
            peerName={name}
            tabStop={row.key === tabStop}
            unread={!row.bubble.own && row.bubble.seq !== null && row.bubble.seq > readUpto}
            arrives={arrives(row.bubble)}
            onFocus={setFocused}
            onFold={onFold}
            onMenu={onMenu}
            onRetry={onRetry}
            onDelete={onDelete}
          />
        );
    }
  };

  return (
    <div className="tidings-thread">
      <div
        ref={list}
        className="tidings-scroll"
        aria-busy={opening || snapshot.loading}
        onScroll={() => onScroll() && day.show()}
      >
        <div ref={column} className="tidings-column" onKeyDown={onKeyDown}>
          <ThreadState
            conversation={conversation}
            snapshot={snapshot}
            person={props.person}
            name={name}
            opening={opening}
            empty={rows.length === 0}
            emptyAction={emptyAction}
          />
          <ol className="tidings-list" aria-label={words.messagesWith(name)} onCopy={onCopy}>
            {opening ? null : rows.map(item)}
          </ol>
          {snapshot.peerTyping && (
            <div className="tidings-typing" role="img" aria-label={words.typing(name)}>
              <Dots />
            </div>
          )}
        </div>
      </div>
      {day.at !== null && (
        <div className="tidings-day-now" data-shown={day.isShown} aria-hidden="true">
          {dayText(day.at, today, words)}
        </div>
      )}
      {menu && chosen?.kind === "bubble" && (
        <MessageMenu
          key={menu.key}
          bubble={chosen.bubble}
          name={name}
          article={menu.article}
          actions={actions}
          onClose={(returns) => {
            setMenu(null);
            if (returns) menu.article.focus({ preventScroll: true });
          }}
        />
      )}
      {!pinned && (
        <button
          type="button"
          className="tidings-pill"
          data-new={newCount > 0}
          aria-label={newCount > 0 ? words.jumpToNewName(newCount) : words.jumpToLatest}
          onClick={() => toEnd(true)}
        >
          <DownIcon />
          {newCount > 0 && <span>{words.jumpToNew(newCount)}</span>}
        </button>
      )}
    </div>
  );
}

interface ThreadStateProps {
  conversation: Conversation;
  snapshot: ConversationSnapshot;
  person: Person;
  name: string;
  opening: boolean;
  empty: boolean;
  emptyAction: ReactNode;
}

/** What stands above the messages or in their place: loading, could not load, nothing yet. */
function ThreadState(props: ThreadStateProps): ReactNode {
  const { conversation, snapshot, person, name, opening, empty, emptyAction } = props;
  const words = useWords();
  if (snapshot.error !== null) {
    return (
      <div className="tidings-trouble">
        <p>
          {words.loadFailed} {words.refusal(snapshot.errorCode ?? "", snapshot.error)}
        </p>
        <button
          type="button"
          className="tidings-button"
          onClick={() => void (snapshot.loaded ? conversation.loadOlder() : conversation.load())}
        >
          {words.tryAgain}
        </button>
      </div>
    );
  }
  if (opening) {
    return (
      <div className="tidings-skeleton tidings-moves">
        <p className="tidings-hidden">{words.loadingMessages}</p>
        {["first", "second", "third", "fourth", "fifth"].map((which) => (
          <span key={which} className="tidings-moves" />
        ))}
      </div>
    );
  }
  if (empty) {
    return (
      <div className="tidings-empty">
        <Avatar person={person} />
        <h3>{words.sayHello(name)}</h3>
        <p>{words.noMessages}</p>
        <div className="tidings-slot">{emptyAction}</div>
      </div>
    );
  }
  return snapshot.hasOlder ? (
    <p className="tidings-older" data-loading={snapshot.loading}>
      {words.loadingOlder}
    </p>
  ) : null;
}
