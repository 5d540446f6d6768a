/**
 * The browser's Back closes what covers a phone's screen, the topmost first, and only then leaves the page.
 *
 * While such layers are open there is an entry of the history for each, of the page's own address and with its own state, in which
 * our mark stands beside what the page keeps there. A layer that is closed otherwise takes its entry with it.
 *
 * Entries of others are not touched. We go back only from an entry of ours, and only as long as nothing else, such as a frame in the
 * page, has added one; ours that stay below those are stepped over when they come up, by Forward and after a reload, too. In a page
 * that stands in a frame Back belongs to the page around it, and beside a state that is no plain object our mark has no place: there
 * are no entries then.
 */

/** In the state of an entry of ours: how many layers are open there. */
const MARK = "tidingsDepth";
/** A browser goes back within some frames; if it has not by then, it was not our entry that it left. */
const STEP_MS = 1000;

interface Layer {
  close: () => void;
}

const layers: Layer[] = [];
/** How many watch over entries that were left. */
let watchers = 0;
/** The depth of the entry that one is at. */
let at = 0;
/** The page's address where our entries begin; null: there were none yet. */
let address: string | null = null;
/** Entries of the window when the one that one is at was added or come to; null: before the page was loaded. */
let length: number | null = null;
/** While it goes back over entries of ours: how far, and to which depth. */
let going: { by: number; to: number; timer: ReturnType<typeof setTimeout> } | null = null;
let isListening = false;
let isDue = false;
/** The last step that was over entries of ours alone. */
let own: Event | null = null;

function depthOf(state: unknown): number {
  const depth = (state as Record<string, unknown> | null)?.[MARK];
  return typeof depth === "number" ? depth : 0;
}

/** Whether this step was over our entries alone: the page is where it was, and nobody has followed a link. */
export function isOwnStep(event: Event): boolean {
  return event === own;
}

/** From now on Back closes this layer before all others. The answer takes it, and its entry, away. */
export function closesOnBack(close: () => void): () => void {
  if (window.parent !== window) return () => undefined;
  const layer = { close };
  layers.push(layer);
  settleSoon();
  return () => {
    const index = layers.indexOf(layer);
    if (index === -1) return;
    layers.splice(index, 1);
    settleSoon();
  };
}

/** Close the topmost layer, as Back does; false: there is none. */
export function closeTopmost(): boolean {
  const layer = layers.at(-1);
  layer?.close();
  return layer !== undefined;
}

/** Step over entries whose layers have gone, until the answer is called. */
export function watchesBack(): () => void {
  if (window.parent !== window) return () => undefined;
  watchers += 1;
  settleSoon();
  return () => {
    watchers -= 1;
    listen();
  };
}

function listen(): void {
  const isWanted = watchers > 0 || layers.length > 0 || going !== null;
  if (isWanted === isListening) return;
  isListening = isWanted;
  // Before those that look at the address, which ask whether the step was ours.
  if (isWanted) window.addEventListener("popstate", onStep, true);
  else window.removeEventListener("popstate", onStep, true);
}

/** Once for all that opens and closes in one moment: a layer in the place of another takes no step. */
function settleSoon(): void {
  listen();
  if (isDue) return;
  isDue = true;
  queueMicrotask(() => {
    isDue = false;
    if (going === null) settle();
    listen();
  });
}

/** As many entries as there are layers. */
function settle(): void {
  at = depthOf(history.state);
  if (layers.length > at) return push(history.state);
  const isLast = length === null || length === history.length;
  if (layers.length === at || !isLast) return;
  const by = layers.length - at;
  going = { by, to: layers.length, timer: setTimeout(() => end(true), STEP_MS) };
  history.go(by);
}

function push(state: unknown): void {
  if (state !== null && Object.getPrototypeOf(state) !== Object.prototype) return;
  try {
    for (; at < layers.length; at += 1) history.pushState({ ...(state as object | null), [MARK]: at + 1 }, "");
    address = location.href;
    length = history.length;
  } catch {
    // A browser takes only so many in a while: then Back leaves the page, as it does without us.
  }
}

function end(isLost: boolean): void {
  if (going) clearTimeout(going.timer);
  going = null;
  if (isLost) length = -1;
  settleSoon();
}

function onStep(event: PopStateEvent): void {
  const depth = depthOf(event.state);
  ({ length } = history);
  if ((depth > 0 || at > 0 || going) && (address === null || address === location.href)) own = event;
  if (going) {
    // The page has gone on in this very moment, and that was what was left: forward again.
    if (depth > going.to) history.go(-going.by);
    return end(depth > going.to);
  }
  at = depth;
  for (const layer of layers.splice(depth).reverse()) layer.close();
  settleSoon();
}
