/**
 * The day of what is on top, while one scrolls. Only to be seen: the list has its days already. It lets clicks through, so it
 * lies on no message for whoever asks what is read.
 */
import { useEffect, useRef, useState, type RefObject } from "react";
import { useLatest } from "../hooks.js";
import type { Row } from "./rows.js";
import { keyAtTop } from "./thread-place.js";

/** How long it stays when the list stands still. */
const SHOWN_MS = 1200;

function timeOf(row: Row | undefined): string | null {
  if (!row || row.kind === "unread") return null;
  return row.kind === "bubble" ? row.bubble.at : row.at;
}

/** `at`: a time of the day that is, or was last, shown; null: none was yet. `show`: the reader has moved the list. */
export function useFloatingDay(
  list: RefObject<HTMLElement | null>,
  rows: readonly Row[],
): { at: string | null; isShown: boolean; show: () => void } {
  const [at, setAt] = useState<string | null>(null);
  const [isShown, setShown] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const now = useLatest(rows);
  useEffect(() => () => clearTimeout(timer.current), []);

  const show = (): void => {
    const key = list.current && keyAtTop(list.current);
    const found = timeOf(now.current.find((row) => row.key === key));
    clearTimeout(timer.current);
    if (found !== null) setAt(found);
    setShown(found !== null);
    if (found !== null) timer.current = setTimeout(() => setShown(false), SHOWN_MS);
  };
  return { at, isShown, show };
}
