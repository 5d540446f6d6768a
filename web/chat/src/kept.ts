/** What this browser keeps for the page. It may forbid even to ask: then nothing is kept, and the page works all the same. */
export type Area = "localStorage" | "sessionStorage";

export function readKept(area: Area, key: string): string | null {
  try {
    return window[area].getItem(key);
  } catch {
    return null;
  }
}

/** Null deletes it. */
export function keep(area: Area, key: string, value: string | null): void {
  try {
    if (value === null) window[area].removeItem(key);
    else window[area].setItem(key, value);
  } catch {
    // Forbidden, or full.
  }
}

export function keptKeys(area: Area): readonly string[] {
  try {
    return Object.keys(window[area]);
  } catch {
    return [];
  }
}
