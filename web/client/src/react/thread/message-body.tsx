/** What a message says: its text, folded when it is long; what a host draws for types of its own; or that it was deleted. */
import { createContext, useContext, useRef, useState, type ReactNode } from "react";
import { useLayoutEffectOnClient } from "../hooks.js";
import { FoldIcon, HideIcon } from "../icons.js";
import { isEmojiOnly, RichText } from "./rich-text.js";
import type { Bubble } from "./rows.js";
import { useWords } from "../words/context.js";
import type { Words } from "../words/en.js";

const LINES_MAX = 12;
/** Shorter texts have no twelve lines, even on the narrowest screen. */
const LENGTH_MIN = 200;
/** A message whose sender was erased (PROTOCOL.md 4.1.11). */
const DELETED = "deleted";

/** A message of a type that the host draws itself. */
export interface CustomMessage {
  message_type: string;
  text: string;
  /** Whether the user wrote it. */
  own: boolean;
  /** Null while it is not acknowledged. */
  seq: number | null;
  createdAt: string;
}

/** Answers what stands in the bubble; null or undefined: its text. */
export type RenderMessage = (message: CustomMessage) => ReactNode;

export const RenderMessageContext = createContext<RenderMessage | null>(null);

/** What a message says in words. */
export function textOf(bubble: Bubble, words: Words): string {
  return bubble.type === DELETED ? words.deleted : bubble.text;
}

interface BodyProps {
  bubble: Bubble;
  /** Time and tick: they stand in the last line, and take one of their own only where that is full. */
  meta: ReactNode;
  /** Called before the text is folded or unfolded. */
  onFold: () => void;
}

/** What stands in the bubble. */
export function MessageBody({ bubble, meta, onFold }: BodyProps): ReactNode {
  const words = useWords();
  const render = useContext(RenderMessageContext);
  const { type: message_type, text, own, seq, at: createdAt } = bubble;
  if (message_type === DELETED) {
    return (
      <div className="tidings-text">
        <HideIcon />
        <span className="tidings-words">{words.deleted}</span>
        {meta}
      </div>
    );
  }
  const drawn = message_type === "text" ? null : (render?.({ message_type, text, own, seq, createdAt }) ?? null);
  if (drawn !== null) {
    return (
      <>
        <div className="tidings-slot">{drawn}</div>
        {meta}
      </>
    );
  }
  if (text.length >= LENGTH_MIN || countsLines(text)) return <LongText text={text} meta={meta} onFold={onFold} />;
  return (
    <div className="tidings-text" dir="auto">
      <Words text={text} />
      {meta}
    </div>
  );
}

/** What its bubble is besides: without a ground for emoji alone, of a type, deleted. */
export function kindOf({ type, text }: Bubble): Record<`data-${string}`, string | true> {
  if (type === DELETED) return { "data-deleted": true };
  if (isEmojiOnly(text)) return { "data-emoji": true };
  return type === "text" ? {} : { "data-type": type };
}

/** The words by themselves, beside which the time stands. */
function Words({ text }: { text: string }): ReactNode {
  return (
    <span className="tidings-words">
      <RichText text={text} />
    </span>
  );
}

function countsLines(text: string): boolean {
  return text.split("\n", LINES_MAX + 1).length > LINES_MAX;
}

/** A text that may have more than twelve lines: how many it has depends on the width, and is measured. */
function LongText({ text, meta, onFold }: { text: string; meta: ReactNode; onFold: () => void }): ReactNode {
  const words = useWords();
  const [isOpen, setOpen] = useState(false);
  const [isLong, setLong] = useState(() => countsLines(text));
  const field = useRef<HTMLDivElement>(null);

  useLayoutEffectOnClient(() => {
    const element = field.current;
    if (!element) return;
    const measure = (): void => {
      // Not to be seen: nothing can be measured.
      if (element.clientHeight === 0) return;
      if (!isOpen) setLong(element.scrollHeight > element.clientHeight + 1);
      // Tab does not lead to what is folded away.
      const end = element.getBoundingClientRect().bottom;
      for (const each of element.querySelectorAll<HTMLElement>("a, pre")) {
        each.tabIndex = each.getBoundingClientRect().bottom <= end ? 0 : -1;
      }
    };
    measure();
    if (typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [text, isOpen]);

  const fold = (): void => {
    onFold();
    setOpen(!isOpen);
  };
  return (
    <>
      <div ref={field} className="tidings-text" dir="auto" data-clamped={!isOpen} data-long={isLong}>
        <Words text={text} />
        {!isLong && meta}
      </div>
      {isLong && (
        <>
          <button type="button" className="tidings-fold" aria-expanded={isOpen} onClick={fold}>
            {isOpen ? words.showLess : words.showMore} <FoldIcon />
          </button>
          {meta}
        </>
      )}
    </>
  );
}
