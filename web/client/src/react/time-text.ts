/** Times and days as text, in the language of the page and the zone of the user. */
import { words } from "./words.js";

const DAY_MS = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * The locale for dates: the user's own variant of the page's language ("en-GB" on a page in "en"), so that a date is in
 * the same language as the words around it; the platform's default where there is no page.
 */
function pageLocale(): string | undefined {
  if (typeof document === "undefined") return undefined;
  const page = document.documentElement.lang;
  if (page === "") return undefined;
  const own = navigator.languages.find((language) => language.split("-")[0] === page.split("-")[0]);
  return own ?? page;
}

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const locale = pageLocale();
  const key = `${locale ?? ""} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    try {
      found = new Intl.DateTimeFormat(locale, options);
    } catch {
      // A page may carry a `lang` that is no language tag.
      found = new Intl.DateTimeFormat(undefined, options);
    }
    formats.set(key, found);
  }
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
export function clockTime(iso: string): string {
  return format({ timeStyle: "short" }).format(new Date(iso));
}

/** "Monday, 23 November 2026 at 14:02:11" */
export function fullTime(iso: string): string {
  return format({ dateStyle: "full", timeStyle: "medium" }).format(new Date(iso));
}

/** "Today", "Yesterday", "Monday" in the last week, else "23 November 2026" (the year only when it is another one). */
export function dayText(iso: string, now: number): string {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days === 0) return words.today;
  if (days === 1) return words.yesterday;
  if (days > 1 && days < 7) return format({ weekday: "long" }).format(date);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return format({ day: "numeric", month: "long", ...(sameYear ? {} : { year: "numeric" }) }).format(date);
}

/** For a list: the time of today, "Yesterday", a short weekday in the last week, else a short date. */
export function shortTime(iso: string, now: number): string {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days === 0) return clockTime(iso);
  if (days === 1) return words.yesterday;
  if (days > 1 && days < 7) return format({ weekday: "short" }).format(date);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return format({ day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }) }).format(date);
}
