/**
 * What somebody likes of this page, kept in this browser until they sign out. A browser may forbid it; then it lasts as
 * long as the page.
 */
const LIST_WIDTH = "tidings.list-width";
const SOUND = "tidings.sound";

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

/** Nothing of the user stays. */
export function forgetPreferences(): void {
  write(LIST_WIDTH, null);
  write(SOUND, null);
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
