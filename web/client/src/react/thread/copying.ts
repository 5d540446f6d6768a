/**
 * What is copied of several messages says who wrote each, and holds neither times nor ticks by themselves, nor words that nobody
 * sees. Of a single one it is the selected words alone, as the browser has them.
 */
import { useCallback, type ClipboardEvent } from "react";
import { useLatest } from "../hooks.js";
import type { Row } from "./rows.js";
import { ANCHOR } from "./thread-place.js";
import { clockTime, dayText } from "../words/time-text.js";
import { useToday } from "../parts/today.js";
import { useWords } from "../words/context.js";

/** What is selected of the words of one message; null: nothing. The text as it was typed where that is all of them. */
function selectedOf(article: Element, range: Range, text: string): string | null {
  if (!range.intersectsNode(article)) return null;
  const words = article.querySelector(".tidings-words");
  if (!words) return text;
  const part = document.createRange();
  part.selectNodeContents(words);
  const isWhole =
    range.compareBoundaryPoints(Range.START_TO_START, part) <= 0 &&
    range.compareBoundaryPoints(Range.END_TO_END, part) >= 0;
  if (isWhole) return text;
  if (!range.intersectsNode(words)) return null;
  if (range.compareBoundaryPoints(Range.START_TO_START, part) > 0)
    part.setStart(range.startContainer, range.startOffset);
  if (range.compareBoundaryPoints(Range.END_TO_END, part) < 0) part.setEnd(range.endContainer, range.endOffset);
  const shown = part.toString();
  return shown === "" ? null : shown;
}

/** The handler for the list of these rows. */
export function useCopying(rows: readonly Row[], name: string): (event: ClipboardEvent<HTMLElement>) => void {
  const words = useWords();
  const now = useLatest({ rows, name, words, today: useToday() });
  return useCallback(
    (event) => {
      const list = event.currentTarget;
      // Of a shadow root some browsers ask the root itself.
      const root = list.getRootNode() as { getSelection?: () => Selection | null };
      const selection = root.getSelection ? root.getSelection() : document.getSelection();
      if (!selection || selection.isCollapsed || selection.rangeCount === 0) return;
      const range = selection.getRangeAt(0);
      const { rows: shown, name: peer, words: said, today } = now.current;
      const bubbles = new Map(shown.flatMap((row) => (row.kind === "bubble" ? [[row.key, row.bubble] as const] : [])));
      const lines: string[] = [];
      let day = "";
      for (const article of list.querySelectorAll(`article[${ANCHOR}]`)) {
        const bubble = bubbles.get(article.getAttribute(ANCHOR) ?? "");
        const text = bubble && selectedOf(article, range, bubble.text);
        if (!bubble || !text) continue;
        const on = dayText(bubble.at, today, said);
        if (on !== day) lines.push(on);
        day = on;
        lines.push(said.messageName(bubble.own ? said.you : peer, clockTime(bubble.at, said), text, ""));
      }
      // The day and one message: nobody has to be told who wrote it.
      if (lines.length <= 2) return;
      event.clipboardData.setData("text/plain", lines.join("\n"));
      event.preventDefault();
    },
    [now],
  );
}
