import { useRef, useState, type MouseEvent, type ReactNode } from "react";
import type { InboxEntry, Person } from "../types.js";
import { Avatar } from "./avatar.js";
import { useConnection, useInbox } from "./hooks.js";
import { PenIcon, TickMark } from "./icons.js";
import { NewMessage } from "./new-message.js";
import { shortTime } from "./time-text.js";
import { useLanguage, useWords } from "./words/context.js";

export interface InboxListProps {
  /** The person whose conversation is open beside the list. */
  activeId?: string | null;
  /** Called when somebody is chosen, in the list or by "New message". */
  onOpen: (userId: string) => void;
  /** The address of a conversation, so that it can be opened in another window. */
  hrefFor: (userId: string) => string;
  /** People to offer under "New message". */
  suggestions?: readonly Person[];
  /** What to do where there are no conversations yet, in place of "New message". */
  emptyAction?: ReactNode;
  /** Whether "New message" is open, where its owner decides that. */
  isWriting?: boolean;
  onWriting?: (isWriting: boolean) => void;
}

const NOBODY: readonly Person[] = [];

/** The conversations, newest first, and the way to a new one. */
export function InboxList(props: InboxListProps): ReactNode {
  const { activeId = null, onOpen, hrefFor, suggestions = NOBODY, emptyAction, onWriting } = props;
  const words = useWords();
  const language = useLanguage();
  const inbox = useInbox();
  const { userId } = useConnection();
  const [isWritingHere, setWritingHere] = useState(false);
  const writing = props.isWriting ?? isWritingHere;
  const opener = useRef<HTMLButtonElement>(null);
  const now = Date.now();

  const setWriting = (wanted: boolean): void => {
    if (onWriting) return onWriting(wanted);
    setWritingHere(wanted);
    if (!wanted) opener.current?.focus();
  };
  const open = (id: string): void => {
    if (!onWriting) setWritingHere(false);
    onOpen(id);
  };

  return (
    <nav {...language} className="tidings tidings-inbox" aria-label={words.conversations}>
      <div className="tidings-inbox-head">
        <h2>{words.conversations}</h2>
        <button
          ref={opener}
          type="button"
          className="tidings-compose"
          aria-label={words.newMessage}
          title={words.newMessage}
          aria-expanded={writing}
          onClick={() => setWriting(!writing)}
        >
          <PenIcon />
        </button>
      </div>
      {writing && (
        <NewMessage ownId={userId} suggestions={suggestions} onOpen={open} onCancel={() => setWriting(false)} />
      )}
      <div className="tidings-inbox-scroll" aria-busy={inbox.loading}>
        {inbox.error !== null && (
          <div className="tidings-trouble">
            <p>
              {words.inboxFailed} {inbox.error}
            </p>
            <button type="button" className="tidings-button" onClick={() => void inbox.load()}>
              {words.tryAgain}
            </button>
          </div>
        )}
        {inbox.loaded && inbox.entries.length === 0 && !writing && (
          <div className="tidings-empty">
            <p className="tidings-empty-title">{words.noConversations}</p>
            <p>{words.noConversationsHint}</p>
            {emptyAction !== undefined ? (
              <div className="tidings-slot">{emptyAction}</div>
            ) : (
              <button type="button" className="tidings-button" data-primary="true" onClick={() => setWriting(true)}>
                {words.newMessage}
              </button>
            )}
          </div>
        )}
        <ul className="tidings-conversations">
          {inbox.entries.map((entry) => (
            <li key={entry.user.id}>
              <Entry
                entry={entry}
                active={entry.user.id === activeId}
                href={hrefFor(entry.user.id)}
                now={now}
                onOpen={open}
              />
            </li>
          ))}
        </ul>
        {inbox.hasMore && (
          <button
            type="button"
            className="tidings-button"
            disabled={inbox.loading}
            onClick={() => void inbox.loadMore()}
          >
            {words.loadMore}
          </button>
        )}
      </div>
    </nav>
  );
}

interface EntryProps {
  entry: InboxEntry;
  active: boolean;
  href: string;
  now: number;
  onOpen: (userId: string) => void;
}

function Entry({ entry, active, href, now, onOpen }: EntryProps): ReactNode {
  const words = useWords();
  const { user, lastMessage, unread, watermarks, updatedAt, blocked } = entry;
  const own = lastMessage !== null && lastMessage.sender_id !== user.id;
  const at = lastMessage?.createdAt ?? updatedAt;
  const choose = (event: MouseEvent): void => {
    // A link opens in another tab or window when asked to.
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen(user.id);
  };
  return (
    <a
      className="tidings-entry"
      href={href}
      aria-current={active ? "page" : undefined}
      data-unread={unread > 0}
      onClick={choose}
    >
      <Avatar person={user} />
      <span className="tidings-entry-name">
        <span dir="auto">{user.name}</span>
      </span>
      <time dateTime={at}>{shortTime(at, now, words)}</time>
      <span className="tidings-entry-text">
        {own && <span className="tidings-entry-you">{words.youPrefix}</span>}
        <span dir="auto">{lastMessage?.text}</span>
      </span>
      {blocked ? (
        <span className="tidings-entry-mark">{words.blockedMark}</span>
      ) : unread > 0 ? (
        <span className="tidings-badge">
          <span aria-hidden="true">{words.badge(unread)}</span>
          <span className="tidings-hidden">{words.unread(unread)}</span>
        </span>
      ) : (
        own && (
          <TickMark
            tick={
              lastMessage.seq <= watermarks.peer_read_upto
                ? "read"
                : lastMessage.seq <= watermarks.peer_delivered_upto
                  ? "delivered"
                  : "sent"
            }
          />
        )
      )}
    </a>
  );
}
