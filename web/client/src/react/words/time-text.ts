/** Times and days as text, in the language of the words around them and the zone of the user. */
import type { Words } from "./en.js";
import { variantOf } from "./locale.js";

const DAY_MS = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

/** What of the words a date needs. */
type Language = Pick<Words, "lang" | "today" | "yesterday">;

function format({ lang }: Language, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const locale = variantOf(lang);
  const key = `${locale} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat(locale, options)));
  return found;
}

function startOfDay(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** Whole calendar days from `date` to `now` in the user's zone; rounded, for days have 23 or 25 hours twice a year. */
function daysAgo(date: Date, now: number): number {
  return Math.round((startOfDay(new Date(now)) - startOfDay(date)) / DAY_MS);
}

/** A number that is equal for two times of one local day and greater for a later day. */
export function dayOf(iso: string): number {
  return startOfDay(new Date(iso));
}

/** "14:02" */
export function clockTime(iso: string, words: Language): string {
  return format(words, { timeStyle: "short" }).format(new Date(iso));
}

/** "Monday, 23 November 2026 at 14:02:11" */
export function fullTime(iso: string, words: Language): string {
  return format(words, { dateStyle: "full", timeStyle: "medium" }).format(new Date(iso));
}

/** "Today", "Yesterday", "Monday" in the last week, else "23 November 2026" (the year only when it is another one). */
export function dayText(iso: string, now: number, words: Language): string {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days === 0) return words.today;
  if (days === 1) return words.yesterday;
  if (days > 1 && days < 7) return format(words, { weekday: "long" }).format(date);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return format(words, { day: "numeric", month: "long", ...(sameYear ? {} : { year: "numeric" }) }).format(date);
}

/** For a list: the time of today, "Yesterday", a short weekday in the last week, else a short date. */
export function shortTime(iso: string, now: number, words: Language): string {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days === 0) return clockTime(iso, words);
  if (days === 1) return words.yesterday;
  if (days > 1 && days < 7) return format(words, { weekday: "short" }).format(date);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return format(words, { day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }) }).format(date);
}
