/**
 * Where a view stands in somebody's page: in a shadow root of its own, so that neither the page's rules and scripts reach in nor
 * ours reach out. Its style is a sheet that the script brings and adopts, which no content policy forbids.
 */
import sheet from "../react/styles/index.css?inline";
import around from "./place.css?inline";
import type { MountOptions } from "./options.js";

let styles: CSSStyleSheet[] | null = null;

/** One for all that stand in the page. */
function stylesOnce(): CSSStyleSheet[] {
  return (styles ??= [inUsersSize(sheet), around].map((text) => {
    const made = new CSSStyleSheet();
    made.replaceSync(text);
    return made;
  }));
}

/**
 * The size of letters that the user has chosen, in place of the page's `rem`, which many a page makes a smaller one, 10 px say.
 * Conditions of at-rules take no variables: those of ours are in `px` or `em`, or go by the window (styles.test.ts).
 */
function inUsersSize(text: string): string {
  const isCondition = /(@[^{};]+\{)/;
  const size = /(-?\d*\.?\d+)rem\b/g;
  const parts = text
    .split(isCondition)
    .map((part, at) => (at % 2 ? part : part.replace(size, "calc($1 * var(--t-rem, 1rem))")));
  return parts.join("");
}

const SCHEMES = { page: "", system: "light dark", light: "light", dark: "dark" };

interface Place {
  /** What React draws into. */
  inside: HTMLElement;
  remove: () => void;
}

export function placeIn(element: Element, view: MountOptions["view"], theme: keyof typeof SCHEMES): Place {
  const host = document.createElement("div");
  host.dataset["tidings"] = view;
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = stylesOnce();
  const inside = document.createElement("div");
  inside.className = "place";
  inside.style.colorScheme = SCHEMES[theme];
  root.append(inside);
  for (const type of ["keydown", "keypress", "keyup"] as const) host.addEventListener(type, keepTyping);
  element.append(host);
  // Of an element of which the page says nothing: what the browser is set to.
  const { fontSize } = getComputedStyle(host);
  if (fontSize) inside.style.setProperty("--t-rem", fontSize);
  return { inside, remove: () => host.remove() };
}

/**
 * What is typed here is no shortcut of the page's: its listeners would be told of a key in some element, not of one in a field.
 * Keys that type nothing, and Escape and Tab, which may be about something around this, go on to the page unless we took them.
 */
function keepTyping(event: KeyboardEvent): void {
  const [target] = event.composedPath();
  const isTyped = target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement;
  const isCommand = event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape" || event.key === "Tab";
  if (event.defaultPrevented || (isTyped && !isCommand)) event.stopPropagation();
}
