import { memo, useEffect, useId, useState, type ReactNode } from "react";
import { MoreIcon, TickMark } from "../icons.js";
import { SEEN_MARK } from "./read-receipts.js";
import type { Bubble } from "./rows.js";
import { useLongPress } from "../parts/long-press.js";
import { RoundButton } from "../parts/round-button.js";
import { kindOf, MessageBody, textOf } from "./message-body.js";
import { ANCHOR } from "./thread-place.js";
import { clockTime, fullTime } from "../words/time-text.js";
import { useWords } from "../words/context.js";
import type { Words } from "../words/en.js";

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
  /** It came while one looked. */
  arrives: boolean;
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

interface NoteProps {
  describedBy: string;
  onRetry: () => void;
  onDelete: () => void;
}

/** Below a message that is under way for long. */
function SlowNote({ since, describedBy, onRetry, onDelete }: NoteProps & { since: string }): ReactNode {
  const words = useWords();
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), Math.max(0, Date.parse(since) + SLOW_MS - Date.now()));
    return () => clearTimeout(timer);
  }, [since]);
  if (!slow) return null;
  return (
    <div className="tidings-slow">
      <span>{words.stillSending}</span>
      <span className="tidings-acts">
        <button type="button" className="tidings-link" aria-describedby={describedBy} onClick={onRetry}>
          {words.tryNow}
        </button>
        <button type="button" className="tidings-link" aria-describedby={describedBy} onClick={onDelete}>
          {words.cancel}
        </button>
      </span>
    </div>
  );
}

/** Below a message that was refused. */
function FailedNote({ bubble, describedBy, onRetry, onDelete }: NoteProps & { bubble: Bubble }): ReactNode {
  const words = useWords();
  return (
    <div className="tidings-failed">
      <p>
        <strong>{words.notSent}</strong> {words.refusal(bubble.problemCode ?? "", bubble.problem ?? "")}
      </p>
      <span className="tidings-acts">
        <button type="button" className="tidings-link" aria-describedby={describedBy} onClick={onRetry}>
          {words.retry}
        </button>
        <button type="button" className="tidings-link" aria-describedby={describedBy} onClick={onDelete}>
          {words.delete}
        </button>
      </span>
    </div>
  );
}

/** Bubbles are made anew with each snapshot; most of them say what they said before. */
function isSame(before: ItemProps, after: ItemProps): boolean {
  const { bubble: one, ...others } = before;
  const rest = Object.keys(others) as (keyof typeof others)[];
  const parts = Object.keys(one) as (keyof Bubble)[];
  return rest.every((key) => before[key] === after[key]) && parts.every((key) => one[key] === after.bubble[key]);
}

/** One message: its bubble with time and tick, and below it why it was not sent and what can be done. */
export const MessageItem = memo(function MessageItem(props: ItemProps): ReactNode {
  const { rowKey, bubble, peerName, tabStop, unread, arrives, onFocus, onFold, onMenu, onRetry, onDelete } = props;
  const { own, first, last, tick, clientId } = bubble;
  const words = useWords();
  const isWaiting = tick === "waiting" || tick === "sending" || tick === "cancelling";
  const bodyId = useId();
  const press = useLongPress((article) => onMenu(rowKey, article));
  const note = clientId !== null && {
    describedBy: bodyId,
    onRetry: () => onRetry(clientId),
    onDelete: () => onDelete(clientId),
  };
  const meta = (
    <span className="tidings-meta">
      <time dateTime={bubble.at} title={fullTime(bubble.at, words)}>
        {clockTime(bubble.at, words)}
      </time>
      {tick !== null && <TickMark tick={tick} />}
    </span>
  );
  return (
    <li
      className="tidings-item"
      data-own={own}
      data-first={first}
      data-last={last}
      data-failed={tick === "failed"}
      data-waiting={isWaiting}
    >
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
          event.stopPropagation();
          onMenu(rowKey, event.currentTarget);
        }}
        {...press}
      >
        <div id={bodyId} className="tidings-bubble" data-new={arrives} {...kindOf(bubble)}>
          <MessageBody bubble={bubble} meta={meta} onFold={() => onFold(rowKey)} />
        </div>
        {note && (tick === "sending" || tick === "waiting") && <SlowNote since={bubble.at} {...note} />}
        {note && tick === "failed" && <FailedNote bubble={bubble} {...note} />}
        <div className="tidings-toolbar">
          <RoundButton
            tabIndex={-1}
            aria-haspopup="menu"
            label={words.actions}
            aria-describedby={bodyId}
            onClick={(event) => onMenu(rowKey, event.currentTarget.closest("article") as HTMLElement)}
          >
            <MoreIcon />
          </RoundButton>
        </div>
        {unread && <span className="tidings-seen" {...{ [SEEN_MARK]: bubble.seq }} />}
      </article>
    </li>
  );
}, isSame);
