/** What a message says: its text, folded when it is long; what a host draws for types of its own; or that it was deleted. */
import { createContext, useContext, useRef, useState, type ReactNode } from "react";
import { useLayoutEffectOnClient } from "./hooks.js";
import { isEmojiOnly, RichText } from "./rich-text.js";
import type { Bubble } from "./rows.js";
import { useWords } from "./words/context.js";
import type { Words } from "./words/en.js";

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
  /** Called before the text is folded or unfolded. */
  onFold: () => void;
}

export function MessageBody({ bubble, onFold }: BodyProps): ReactNode {
  const words = useWords();
  if (bubble.type === DELETED) {
    return (
      <div className="tidings-bubble" data-deleted="true">
        {words.deleted}
      </div>
    );
  }
  if (bubble.type !== "text") return <CustomBody bubble={bubble} onFold={onFold} />;
  return <TextBody bubble={bubble} onFold={onFold} />;
}

function CustomBody({ bubble, onFold }: BodyProps): ReactNode {
  const render = useContext(RenderMessageContext);
  const { type: message_type, text, own, seq, at: createdAt } = bubble;
  const drawn = render?.({ message_type, text, own, seq, createdAt }) ?? null;
  if (drawn === null) return <TextBody bubble={bubble} onFold={onFold} />;
  return (
    <div className="tidings-bubble" data-type={message_type}>
      <div className="tidings-slot">{drawn}</div>
    </div>
  );
}

function TextBody({ bubble, onFold }: BodyProps): ReactNode {
  const { text } = bubble;
  if (isEmojiOnly(text)) {
    return (
      <div className="tidings-bubble" data-emoji="true" dir="auto">
        {text}
      </div>
    );
  }
  if (text.length >= LENGTH_MIN || countsLines(text)) return <LongText text={text} onFold={onFold} />;
  return (
    <div className="tidings-bubble">
      <div className="tidings-text" dir="auto">
        <RichText text={text} />
      </div>
    </div>
  );
}

function countsLines(text: string): boolean {
  return text.split("\n", LINES_MAX + 1).length > LINES_MAX;
}

/** A text that may have more than twelve lines: how many it has depends on the width, and is measured. */
function LongText({ text, onFold }: { text: string; onFold: () => void }): ReactNode {
  const words = useWords();
  const [isOpen, setOpen] = useState(false);
  const [isLong, setLong] = useState(() => countsLines(text));
  const field = useRef<HTMLDivElement>(null);

  useLayoutEffectOnClient(() => {
    const element = field.current;
    if (!element || isOpen) return;
    const measure = (): void => {
      // Not to be seen: nothing can be measured.
      if (element.clientHeight > 0) setLong(element.scrollHeight > element.clientHeight + 1);
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
    <div className="tidings-bubble">
      <div ref={field} className="tidings-text" dir="auto" data-clamped={!isOpen}>
        <RichText text={text} />
      </div>
      {isLong && (
        <button type="button" className="tidings-fold" aria-expanded={isOpen} onClick={fold}>
          {isOpen ? words.showLess : words.showMore}
        </button>
      )}
    </div>
  );
}
