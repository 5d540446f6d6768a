/** Whether a media query holds. Where there is none to ask, on a server or in a test's DOM, nothing holds. */
export function mediaMatches(query: string): boolean {
  return typeof globalThis.matchMedia === "function" && globalThis.matchMedia(query).matches;
}
