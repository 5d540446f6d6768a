import { memo, useEffect, useId, useState, type ReactNode } from "react";
import { MoreIcon, TickMark } from "./icons.js";
import { SEEN_MARK } from "./read-receipts.js";
import type { Bubble } from "./rows.js";
import { MessageBody, textOf } from "./message-body.js";
import { ANCHOR } from "./thread-place.js";
import { clockTime, fullTime } from "./time-text.js";
import { useWords } from "./words/context.js";
import type { Words } from "./words/en.js";

const LABEL_MAX = 160;
/** After this long a message that is under way says so in words. */
const SLOW_MS = 10_000;

interface ItemProps {
  rowKey: string;
  bubble: Bubble;
  peerName: string;
  /** The one message that Tab reaches; arrow keys reach the others. */
  tabStop: boolean;
  /** Carries the mark by which it is noticed as read. */
  unread: boolean;
  onFocus: (key: string) => void;
  /** Its text is about to be folded or unfolded. */
  onFold: (key: string) => void;
  /** The user wants to do something with it. */
  onMenu: (key: string, article: HTMLElement) => void;
  onRetry: (clientId: string) => void;
  onDelete: (clientId: string) => void;
}

function labelOf(bubble: Bubble, peerName: string, words: Words): string {
  const whole = textOf(bubble, words);
  const text = whole.length > LABEL_MAX ? `${whole.slice(0, LABEL_MAX)}…` : whole;
  const state = bubble.tick === null ? "" : words.tick[bubble.tick];
  return words.messageName(bubble.own ? words.you : peerName, clockTime(bubble.at, words), text, state);
}

interface SlowNoteProps {
  since: string;
  describedBy: string;
  onRetry: () => void;
  onCancel: () => void;
}

function SlowNote({ since, describedBy, onRetry, onCancel }: SlowNoteProps): ReactNode {
  const words = useWords();
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), Math.max(0, Date.parse(since) + SLOW_MS - Date.now()));
    return () => clearTimeout(timer);
  }, [since]);
  if (!slow) return null;
  return (
    <span className="tidings-slow">
      <span>{words.stillSending}</span>
      <button type="button" className="tidings-link" aria-describedby={describedBy} onClick={onRetry}>
        {words.tryNow}
      </button>
      <button type="button" className="tidings-link" aria-describedby={describedBy} onClick={onCancel}>
        {words.cancel}
      </button>
    </span>
  );
}

/** Bubbles are made anew with each snapshot; most of them say what they said before. */
function isSame(before: ItemProps, after: ItemProps): boolean {
  const { bubble: one, ...others } = before;
  const rest = Object.keys(others) as (keyof typeof others)[];
  const parts = Object.keys(one) as (keyof Bubble)[];
  return rest.every((key) => before[key] === after[key]) && parts.every((key) => one[key] === after.bubble[key]);
}

/** One message: bubble, and below it time and tick, or why it was not sent and what can be done. */
export const MessageItem = memo(function MessageItem(props: ItemProps): ReactNode {
  const { rowKey, bubble, peerName, tabStop, unread, onFocus, onFold, onMenu, onRetry, onDelete } = props;
  const { own, first, last, tick, clientId } = bubble;
  const words = useWords();
  const failed = tick === "failed";
  const bodyId = useId();
  return (
    <li className="tidings-item" data-own={own} data-first={first} data-last={last} data-failed={failed}>
      <article
        className="tidings-message"
        {...{ [ANCHOR]: rowKey }}
        data-own={own}
        aria-label={labelOf(bubble, peerName, words)}
        tabIndex={tabStop ? 0 : -1}
        aria-keyshortcuts="Enter"
        onFocus={() => onFocus(rowKey)}
        onKeyDown={(event) => {
          // Of what is inside, links and buttons, Enter is their own.
          if (event.target !== event.currentTarget || !["Enter", "ContextMenu"].includes(event.key)) return;
          event.preventDefault();
          onMenu(rowKey, event.currentTarget);
        }}
      >
        <div id={bodyId} className="tidings-body">
          <MessageBody bubble={bubble} onFold={() => onFold(rowKey)} />
        </div>
        <div className="tidings-meta">
          {(tick === "sending" || tick === "waiting") && clientId !== null && (
            <SlowNote
              since={bubble.at}
              describedBy={bodyId}
              onRetry={() => onRetry(clientId)}
              onCancel={() => onDelete(clientId)}
            />
          )}
          <time dateTime={bubble.at} title={fullTime(bubble.at, words)}>
            {clockTime(bubble.at, words)}
          </time>
          {tick !== null && <TickMark tick={tick} />}
        </div>
        {failed && clientId !== null && (
          <div className="tidings-failed">
            <p>
              <strong>{words.notSent}</strong> {words.refusal(bubble.problemCode ?? "", bubble.problem ?? "")}
            </p>
            <button type="button" className="tidings-link" aria-describedby={bodyId} onClick={() => onRetry(clientId)}>
              {words.retry}
            </button>
            <button type="button" className="tidings-link" aria-describedby={bodyId} onClick={() => onDelete(clientId)}>
              {words.delete}
            </button>
          </div>
        )}
        <button
          type="button"
          className="tidings-actions"
          tabIndex={-1}
          aria-haspopup="menu"
          aria-label={words.actions}
          aria-describedby={bodyId}
          title={words.actions}
          onClick={(event) => onMenu(rowKey, event.currentTarget.parentElement as HTMLElement)}
        >
          <MoreIcon />
        </button>
        {unread && <span className="tidings-seen" {...{ [SEEN_MARK]: bubble.seq }} />}
      </article>
    </li>
  );
}, isSame);
