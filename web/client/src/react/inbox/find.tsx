/** Finding people by what one types: without regard to case, accents and spellings of one letter, anywhere in the text. */
import type { ReactNode } from "react";

/** Letters that no decomposition makes equal, and that people type for one another. */
const ALIKE: Record<string, string> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  đ: "d",
  ð: "d",
  ł: "l",
  ı: "i",
  ς: "σ",
  "’": "'",
  // Arabic and Persian: yeh and kaf of either, alef maksura, teh marbuta; a tatweel is no letter.
  ى: "ي",
  ی: "ي",
  ک: "ك",
  ة: "ه",
  "\u0640": "",
};
const LETTERS = new RegExp(`[${Object.keys(ALIKE).join("")}]`, "g");

/** The letters of a text as they are compared: "Chloé" and "CHLOE" are the same, and so are "أحمد" and "احمد". */
export function fold(text: string): string {
  return text
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(LETTERS, (letter) => ALIKE[letter] ?? letter);
}

/** Where `wanted`, which is folded, begins and ends in a text that is not. */
function rangeOf(text: string, wanted: string): [number, number] | null {
  const at = wanted === "" ? -1 : fold(text).indexOf(wanted);
  if (at === -1) return null;
  let begin = 0;
  let folded = 0;
  let position = 0;
  for (const character of text) {
    const length = fold(character).length;
    // A mark belongs to the letter before it.
    if (folded >= at + wanted.length && length > 0) break;
    if (folded <= at) begin = position;
    folded += length;
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
