import { useCallback, useEffect, useRef, useState, type ReactNode } from "react";
import { useLatest } from "../hooks.js";
import { useWords } from "../words/context.js";

const BATCH_MS = 1000;
const CLEAR_MS = 5000;
const TEXT_MAX = 200;

export interface Announcer {
  /** What the polite live region holds now, and the assertive one. */
  text: string;
  warning: string;
  /** Say a sentence when nothing else is being said. */
  say: (sentence: string) => void;
  /** Say a sentence now: something failed. */
  warn: (sentence: string) => void;
  /** Say that a message came in; several within a second are said as one number. */
  incoming: (name: string, text: string) => void;
}

/**
 * The words for the two visually hidden live regions of a screen. They stand in the screen itself, so that they are heard
 * also where a host shows it in a modal dialog, beside which all else is silent.
 *
 * The list of messages is not a live region itself: history, ticks and typing would all be read aloud.
 */
export function useAnnouncer(): Announcer {
  const words = useLatest(useWords());
  const [text, setText] = useState("");
  const batch = useRef<{ name: string; text: string }[]>([]);
  const batchTimer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const say = useCallback((sentence: string) => setText(sentence), []);
  const [warning, setWarning] = useState("");
  const warn = useCallback((sentence: string) => setWarning(sentence), []);
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

  useClearing(text, setText);
  useClearing(warning, setWarning);

  return { text, warning, say, warn, incoming };
}

/** Emptied after a while: a region that already holds a sentence does not say it again. */
function useClearing(text: string, set: (text: string) => void): void {
  useEffect(() => {
    if (text === "") return;
    const timer = setTimeout(() => set(""), CLEAR_MS);
    return () => clearTimeout(timer);
  }, [text, set]);
}

/** What `useAnnouncer` says; one of it in a screen. */
export function Announcements({ announcer }: { announcer: Announcer }): ReactNode {
  return (
    <>
      <div className="tidings-hidden" role="status" aria-live="polite">
        {announcer.text}
      </div>
      <div className="tidings-hidden" role="alert" aria-live="assertive">
        {announcer.warning}
      </div>
    </>
  );
}
