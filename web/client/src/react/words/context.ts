import { createContext, useContext } from "react";
import { english, type Words } from "./en.js";

/** Null: nobody chose a language; then the words are English and the direction is the page's. */
export const WordsContext = createContext<Words | null>(null);

/** The words of the nearest `TidingsProvider`; English where it names none. */
export function useWords(): Words {
  return useContext(WordsContext) ?? english;
}

/** For the outermost element of a part: the language and direction of the words that were chosen. */
export function useLanguage(): { lang?: string; dir?: "ltr" | "rtl" } {
  const words = useContext(WordsContext);
  return words === null ? {} : { lang: words.lang, dir: words.dir };
}
