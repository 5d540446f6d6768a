import { useCallback, useEffect, useRef, useState } from "react";
import { useLatest } from "./hooks.js";
import { useWords } from "./words/context.js";

const BATCH_MS = 1000;
const CLEAR_MS = 5000;
const TEXT_MAX = 200;

export interface Announcer {
  /** What the polite live region holds now. */
  text: string;
  /** Say a sentence now. */
  say: (sentence: string) => void;
  /** Say that a message came in; several within a second are said as one number. */
  incoming: (name: string, text: string) => void;
}

/**
 * The words for one visually hidden, polite live region.
 *
 * The list of messages is not a live region itself: history, ticks and typing would all be read aloud.
 */
export function useAnnouncer(): Announcer {
  const words = useLatest(useWords());
  const [text, setText] = useState("");
  const batch = useRef<{ name: string; text: string }[]>([]);
  const batchTimer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const say = useCallback((sentence: string) => setText(sentence), []);
  const incoming = useCallback(
    (name: string, body: string) => {
      batch.current.push({ name, text: body });
      if (batch.current.length > 1) return;
      batchTimer.current = setTimeout(() => {
        const [first, ...others] = batch.current.splice(0);
        if (!first) return;
        setText(
          others.length === 0
            ? words.current.announce(first.name, first.text.slice(0, TEXT_MAX))
            : words.current.announceMany(first.name, others.length + 1),
        );
      }, BATCH_MS);
    },
    [words],
  );

  useEffect(() => {
    const waiting = batch.current;
    return () => {
      clearTimeout(batchTimer.current);
      waiting.length = 0;
    };
  }, []);

  // Emptied after a while: a region that already holds a sentence does not say it again.
  useEffect(() => {
    if (text === "") return;
    const timer = setTimeout(() => setText(""), CLEAR_MS);
    return () => clearTimeout(timer);
  }, [text]);

  return { text, say, incoming };
}
