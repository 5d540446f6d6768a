/**
 * What somebody likes of this page, kept in this browser until they sign out: under their own name, since two windows of one
 * browser may be two people, and one who signs out takes nothing from the other.
 */
import { keep, keptKeys, readKept } from "./kept.js";

const PREFERENCE = "tidings.preference ";
const LIST_WIDTH = "list-width";
const SOUND = "sound";
const NOTIFY = "notify";
const ENTER = "enter";
const THEME = "theme";

/** Who uses this window; "" before that is known. */
let owner = "";

/** From now on preferences are those of this user. */
export function preferAs(userId: string): void {
  owner = userId;
  showTheme(keptTheme());
}

export function keptListWidth(): number {
  return Number(read(LIST_WIDTH) ?? Number.NaN);
}

export function keepListWidth(width: number): void {
  write(LIST_WIDTH, String(width));
}

/** Off until somebody switches it on. */
export function keptSound(): boolean {
  return read(SOUND) !== null;
}

export function keepSound(wanted: boolean): void {
  write(SOUND, wanted ? "on" : null);
}

/** Off until somebody switches them on. */
export function keptNotify(): boolean {
  return read(NOTIFY) !== null;
}

export function keepNotify(wanted: boolean): void {
  write(NOTIFY, wanted ? "on" : null);
}

/** Whether Enter sends; null until somebody says it: then it depends on the device. */
export function keptEnterSends(): boolean | null {
  const kept = read(ENTER);
  return kept === null ? null : kept === "sends";
}

export function keepEnterSends(wanted: boolean): void {
  write(ENTER, wanted ? "sends" : "line");
}

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export function keptTheme(): Theme {
  const kept = read(THEME);
  return THEMES.find((theme) => theme === kept) ?? "system";
}

export function keepTheme(theme: Theme): void {
  write(THEME, theme === "system" ? null : theme);
  showTheme(theme);
}

/** The page, and all that stands in it, in these colours. */
function showTheme(theme: Theme): void {
  document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
}

/** Nothing stays of those whom `isGone` names. */
export function forgetPreferences(isGone: (userId: string) => boolean): void {
  for (const key of keptKeys("localStorage")) {
    // No name of a preference has a space; a user id may.
    const user = key.startsWith(PREFERENCE) ? key.slice(key.indexOf(" ", PREFERENCE.length) + 1) : null;
    if (user !== null && isGone(user)) keep("localStorage", key, null);
  }
  showTheme(keptTheme());
}

function read(name: string): string | null {
  return readKept("localStorage", `${PREFERENCE}${name} ${owner}`);
}

function write(name: string, value: string | null): void {
  keep("localStorage", `${PREFERENCE}${name} ${owner}`, value);
}
