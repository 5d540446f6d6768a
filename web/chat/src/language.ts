/**
 * The language of the page: `?lang=ar`, else the first of the browser's languages that the page has, else English. The words
 * of the chat in another language are fetched only where they are wanted.
 */
import { english as chat, type Words } from "tidings/react";
import { arabic, english, type PageWords } from "./words.js";

export interface Language {
  page: PageWords;
  chat: Words;
}

const LANGUAGES: Record<string, () => Promise<Language>> = {
  en: () => Promise.resolve({ page: english, chat }),
  ar: async () => ({ page: arabic, chat: (await import("tidings/react/words/ar")).arabic }),
};

/** The name of a language that the page has. */
export function languageOf(search: string, browser: readonly string[]): string {
  const asked = new URLSearchParams(search).get("lang");
  const wanted = [...(asked === null ? [] : [asked]), ...browser];
  const base = (tag: string): string => tag.toLowerCase().split("-")[0] ?? "";
  return base(wanted.find((tag) => Object.hasOwn(LANGUAGES, base(tag))) ?? "en");
}

/** Its words, and the document in its language and direction. What cannot be fetched is English. */
export async function chooseLanguage(): Promise<Language> {
  const name = languageOf(location.search, navigator.languages);
  const english = LANGUAGES["en"] as () => Promise<Language>;
  const language = await (LANGUAGES[name] ?? english)().catch(english);
  document.documentElement.lang = language.chat.lang;
  document.documentElement.dir = language.chat.dir;
  return language;
}

/** A link within the page keeps the language that was asked for. */
export function inLanguage(query: Record<string, string>): string {
  const lang = new URLSearchParams(location.search).get("lang");
  const search = new URLSearchParams({ ...query, ...(lang === null ? {} : { lang }) }).toString();
  return search === "" ? "./" : `?${search}`;
}
