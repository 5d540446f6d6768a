/**
 * Places in a scrolled list: which message stands where, found again by its key whatever was added around it.
 *
 * What holds the place is a message's own box, not its row: the space above it depends on what is before it. Distances are
 * measured on the screen, for a message's edge need not lie on a whole pixel, and divided by the scale of a host that
 * transforms the page.
 */

/** The attribute of what can hold the place: messages, not days, which move when older ones come. */
export const ANCHOR = "data-anchor";
/** Space above what is shown from its upper edge. */
const MARGIN_PX = 8;
/** What the pill covers of the lower end. */
const FLOATING_PX = 60;
/** What the day covers of the upper end, while one scrolls. */
const FLOATING_TOP_PX = 40;

export interface Place {
  key: string;
  /** From the upper edge of the view to that of the message, px. */
  offset: number;
  scrollTop: number;
}

export function distanceToEnd(list: HTMLElement): number {
  return list.scrollHeight - list.scrollTop - list.clientHeight;
}

function anchorsOf(list: HTMLElement): HTMLElement[] {
  return [...list.querySelectorAll<HTMLElement>(`[${ANCHOR}]`)];
}

export function anchorOf(list: HTMLElement, key: string): HTMLElement | null {
  return anchorsOf(list).find((each) => each.getAttribute(ANCHOR) === key) ?? null;
}

/** How far the upper edge of this element is below that of the view, px of the list's own measure. */
function offsetOf(list: HTMLElement, element: HTMLElement): number {
  const view = list.getBoundingClientRect();
  const scale = list.offsetHeight > 0 ? view.height / list.offsetHeight : 1;
  return (element.getBoundingClientRect().top - view.top) / (scale || 1) - list.clientTop;
}

/** How many of these, from the first on, begin further up than this, px below the upper edge of the view. */
function beginAbove(list: HTMLElement, anchors: readonly HTMLElement[], px: number): number {
  let low = 0;
  let high = anchors.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsetOf(list, anchors[middle] as HTMLElement) < px) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first message whose upper edge is in view; where one fills the view, that one. */
export function placeIn(list: HTMLElement): Place | null {
  const anchors = anchorsOf(list);
  const above = beginAbove(list, anchors, 0);
  const first = anchors[above];
  const found = first && offsetOf(list, first) < list.clientHeight ? first : anchors[above - 1];
  return found ? placeOf(list, found) : null;
}

/** The key of the message that is behind what floats over the upper edge; null where a day stands there, or nothing. */
export function keyAtTop(list: HTMLElement): string | null {
  const isDayThere = [...list.querySelectorAll<HTMLElement>(".tidings-day")].some((day) => {
    const top = offsetOf(list, day);
    return top < FLOATING_TOP_PX && top + day.offsetHeight > MARGIN_PX;
  });
  if (isDayThere) return null;
  const anchors = anchorsOf(list);
  return anchors[beginAbove(list, anchors, FLOATING_TOP_PX) - 1]?.getAttribute(ANCHOR) ?? null;
}

export function placeOf(list: HTMLElement, element: HTMLElement): Place {
  return {
    key: element.getAttribute(ANCHOR) ?? "",
    offset: offsetOf(list, element),
    scrollTop: list.scrollTop,
  };
}

/** Scroll; not at all for less than can be seen, which would stop a smooth scroll under way. */
function scrollBy(list: HTMLElement, px: number): void {
  if (Math.abs(px) >= 0.5) list.scrollTop += px;
}

/** Bring the message back to where it was; false when it is not there any more. */
function restore(list: HTMLElement, place: Place): boolean {
  const anchor = anchorOf(list, place.key);
  if (anchor) scrollBy(list, offsetOf(list, anchor) - place.offset);
  return anchor !== null;
}

/** As `restore`, where the user has scrolled meanwhile: only what was added or taken above is made good. */
export function makeGood(list: HTMLElement, place: Place): void {
  const anchor = anchorOf(list, place.key);
  if (anchor) scrollBy(list, offsetOf(list, anchor) + list.scrollTop - (place.offset + place.scrollTop));
}

/**
 * `restore`, or `makeGood` where somebody scrolled whose event has not come yet. Further up at the very end is not theirs: there
 * the browser itself goes when what was below is taken away. True when the message is where it was.
 */
export function stay(list: HTMLElement, place: Place): boolean {
  const moved = list.scrollTop - place.scrollTop;
  const isTheirs = moved >= 1 || (moved <= -1 && distanceToEnd(list) >= 1);
  if (!isTheirs) return restore(list, place);
  makeGood(list, place);
  return false;
}

/** As `restore`, after the message was folded: its upper edge is shown where otherwise nothing of it would be. */
export function restoreFolded(list: HTMLElement, place: Place): void {
  const anchor = anchorOf(list, place.key);
  if (!anchor) return;
  restore(list, place);
  if (offsetOf(list, anchor) + anchor.offsetHeight <= MARGIN_PX) showTop(list, anchor);
}

/** Show this element from its upper edge. */
function showTop(list: HTMLElement, element: HTMLElement): void {
  list.scrollTop += offsetOf(list, element) - MARGIN_PX;
}

/** Bring this element wholly into view, clear of what floats over the lower edge; from its top where it is too tall. */
export function showWhole(list: HTMLElement, element: HTMLElement): void {
  const top = offsetOf(list, element);
  const below = top + element.offsetHeight - (list.clientHeight - FLOATING_PX);
  if (top < MARGIN_PX || element.offsetHeight > list.clientHeight - FLOATING_PX) showTop(list, element);
  else if (below > 0) list.scrollTop += below;
}

/** Open at the unread line when the unread messages fill more than the view, else at the end. */
export function open(list: HTMLElement): void {
  const line = list.querySelector<HTMLElement>("[data-unread-line]");
  const unread = line ? list.scrollHeight - (offsetOf(list, line) + list.scrollTop) : 0;
  if (line && unread > list.clientHeight) showTop(list, line);
  else list.scrollTop = list.scrollHeight;
}

/** Go on to the end; but a message of the other that is taller than the view is shown from its upper edge. */
export function follow(list: HTMLElement): void {
  const last = anchorsOf(list).at(-1);
  const isTall = last && last.offsetHeight > list.clientHeight && last.dataset["own"] !== "true";
  if (isTall) showTop(list, last);
  else list.scrollTop = list.scrollHeight;
}
