/** Finding people by what one types: without regard to case and accents, anywhere in the name. */
import type { ReactNode } from "react";

/** The letters of a text as they are compared: "Chloé" and "CHLOE" are the same. */
export function fold(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Where `wanted`, which is folded, begins and ends in a text that is not. */
function rangeOf(text: string, wanted: string): [number, number] | null {
  const at = wanted === "" ? -1 : fold(text).indexOf(wanted);
  if (at === -1) return null;
  let begin = 0;
  let folded = 0;
  let position = 0;
  for (const character of text) {
    if (folded <= at) begin = position;
    if (folded >= at + wanted.length) break;
    folded += fold(character).length;
    position += character.length;
  }
  return [begin, position];
}

/** A text in which what was found is marked. */
export function Found({ text, wanted }: { text: string; wanted: string }): ReactNode {
  const range = rangeOf(text, wanted);
  if (!range) return text;
  const [begin, end] = range;
  return (
    <>
      {text.slice(0, begin)}
      <mark>{text.slice(begin, end)}</mark>
      {text.slice(end)}
    </>
  );
}
