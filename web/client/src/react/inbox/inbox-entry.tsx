/** One conversation in the list: two lines, of which the second runs below the time. */
import { memo, type MouseEvent, type ReactNode } from "react";
import type { InboxEntry, Person } from "../../types.js";
import { Avatar } from "../parts/avatar.js";
import { Found } from "./find.js";
import { Dots, TickMark } from "../icons.js";
import type { Tick } from "../words/en.js";
import { shortTime } from "../words/time-text.js";
import { useWords } from "../words/context.js";
import type { Words } from "../words/en.js";

/** Of a text, so much that the line is full in any case. */
const PREVIEW_MAX = 300;

interface EntryProps {
  person: Person;
  /** What stands in the name's place. */
  title?: string;
  /** Null: somebody with whom nothing was said yet. */
  entry: InboxEntry | null;
  /** What is told of them in its place. */
  about: string | null;
  typing: boolean;
  active: boolean;
  href: string;
  /** What is marked in the name; folded. */
  wanted: string;
  /** The present day, `Date.now()` ms. */
  today: number;
  onOpen: (userId: string) => void;
}

interface Line {
  kind: "failed" | "draft" | "typing" | "deleted" | "text";
  /** Whose it is, or what became of it. */
  before: string;
  text: string;
  at: string | null;
  tick: Tick | null;
}

/** What of a conversation stands in the list: what went wrong, what happens, what is begun, what waits, else the last message. */
function lineOf(entry: InboxEntry, active: boolean, typing: boolean, words: Words): Line {
  const { lastMessage: last, pending, draft, watermarks } = entry;
  const line: Line = { kind: "text", before: "", text: "", at: last?.createdAt ?? null, tick: null };
  const failed = pending.filter((message) => message.state === "failed").at(-1);
  if (failed) {
    return { ...line, kind: "failed", before: words.notSentPrefix, text: failed.text, at: failed.createdAt };
  }
  if (typing) return { ...line, kind: "typing", text: words.statusTyping };
  // In the conversation that is open one sees what is begun.
  if (draft !== "" && !active) return { ...line, kind: "draft", before: words.draftPrefix, text: draft, at: null };
  const waiting = pending.at(-1);
  if (waiting) {
    const tick = waiting.state === "queued" ? "waiting" : waiting.state;
    return { ...line, before: words.youPrefix, text: waiting.text, at: waiting.createdAt, tick };
  }
  if (!last) return line;
  const own = last.sender_id !== entry.user.id;
  const { peer_read_upto, peer_delivered_upto } = watermarks;
  const reached = last.seq <= peer_read_upto ? "read" : last.seq <= peer_delivered_upto ? "delivered" : "sent";
  const said: Line = { ...line, before: own ? words.youPrefix : "", tick: own && !entry.blocked ? reached : null };
  return last.message_type === "deleted"
    ? { ...said, kind: "deleted", text: words.deleted }
    : { ...said, text: last.text };
}

const NOTHING: Line = { kind: "text", before: "", text: "", at: null, tick: null };

function EntryOf({ person, title, entry, about, typing, active, href, wanted, today, onOpen }: EntryProps): ReactNode {
  const words = useWords();
  // Whom one blocks has nothing to say.
  const unread = entry && !entry.blocked ? entry.unread : 0;
  const { kind, before, text, at, tick } = entry
    ? lineOf(entry, active, typing, words)
    : { ...NOTHING, text: about ?? "" };
  const choose = (event: MouseEvent): void => {
    // A link opens in another tab or window when asked to.
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen(person.id);
  };
  return (
    <a
      className="tidings-entry"
      href={href}
      aria-current={active ? "page" : undefined}
      data-unread={unread > 0}
      onClick={choose}
    >
      <Avatar person={person} />
      <span className="tidings-entry-body">
        <span className="tidings-entry-line">
          <span className="tidings-entry-name">
            <span dir="auto">{title ?? <Found text={person.name} wanted={wanted} />}</span>
          </span>
          {tick && <TickMark tick={tick} />}
          {at !== null && <time dateTime={at}>{shortTime(at, today, words)}</time>}
        </span>
        <span className="tidings-entry-line" hidden={entry === null && about === null}>
          <span className="tidings-entry-text" data-kind={kind}>
            {kind === "typing" && <Dots />}
            {before !== "" && <span className="tidings-entry-before">{before}</span>}
            <span dir="auto">{text.slice(0, PREVIEW_MAX)}</span>
          </span>
          {entry?.blocked && <span className="tidings-entry-mark">{words.blockedMark}</span>}
          {kind === "failed" && (
            <span className="tidings-badge" data-failed="true">
              <span aria-hidden="true">!</span>
              <span className="tidings-hidden">{words.tick.failed}</span>
            </span>
          )}
          {unread > 0 && (
            <span className="tidings-badge">
              <span aria-hidden="true">{words.badge(unread)}</span>
              <span className="tidings-hidden">{words.unread(unread)}</span>
            </span>
          )}
        </span>
      </span>
    </a>
  );
}

/** Drawn anew only when something in it changed: there may be thousands. */
export const Entry = memo(EntryOf);

/** In the place of conversations that are being loaded. */
export function EntrySkeleton(): ReactNode {
  return (
    <div className="tidings-entry tidings-moves" data-skeleton="true" aria-hidden="true">
      <span className="tidings-skeleton-disc tidings-moves" />
      <span className="tidings-entry-body">
        <span className="tidings-skeleton-line tidings-moves" />
        <span className="tidings-skeleton-line tidings-moves" />
      </span>
    </div>
  );
}
