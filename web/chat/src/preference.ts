/**
 * What somebody likes of this page, kept in this browser until they sign out. A browser may forbid it; then it lasts as
 * long as the page.
 */
const LIST_WIDTH = "tidings.list-width";
const SOUND = "tidings.sound";
const ENTER = "tidings.enter";
const THEME = "tidings.theme";

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
export function showTheme(theme: Theme): void {
  document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
}

/** Nothing of the user stays. */
export function forgetPreferences(): void {
  for (const key of [LIST_WIDTH, SOUND, ENTER, THEME]) write(key, null);
  showTheme("system");
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Forbidden.
  }
}
