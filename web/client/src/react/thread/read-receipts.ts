/**
 * Tells the conversation what was really read. Seen means seen: for half a second the end of the bubble lay in the window,
 * nothing hid, covered or faded it, and the page had the focus.
 *
 * An `IntersectionObserver` against the window answers where a bubble lies: below the fold, outside of a drawer, in a box of
 * no height. What only the reader would notice (`visibility`, opacity, something on top, `inert`) tells nobody when it
 * changes: it is asked, twice a second, for the bubbles in the window that are not read yet, and for nothing else.
 */
import { useEffect, useRef, type RefObject } from "react";

/** How long a bubble must have been seen before it counts as read. */
const SEEN_MS = 500;
/** Below this nobody reads it: a screen that fades in or out, or is kept as good as invisible. */
const OPACITY_MIN = 0.2;
/** The mark is 1 px wide; in a screen that is scaled down below this nobody reads it either. */
const SCALE_MIN = 0.25;
/** Carried by the lower end of a bubble that is not read yet; its value is the message's `seq`. */
export const SEEN_MARK = "data-unread-seq";

function isWatching(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

/** The element around it, out of shadow roots too. */
function around(element: Element): Element | null {
  const { parentElement, parentNode } = element;
  return parentElement ?? (parentNode instanceof ShadowRoot ? parentNode.host : null);
}

/** The frame that this element's page stands in; null: none, or one of another origin, into which nobody can look. */
function frameOf(element: Element): Element | null {
  try {
    return element.ownerDocument.defaultView?.frameElement ?? null;
  } catch {
    return null;
  }
}

function isOpaque(element: Element): boolean {
  let opacity = 1;
  for (let each: Element | null = element; each && opacity >= OPACITY_MIN; each = around(each)) {
    const style = getComputedStyle(each);
    opacity *= Number(style.opacity || 1) * Number(/opacity\(([\d.]+)\)/.exec(style.filter)?.[1] ?? 1);
  }
  return opacity >= OPACITY_MIN;
}

/** Whether a click on this point of the element's own window would go to it, or to something within `part`. */
function isOnTop(element: Element, part: Element, x: number, y: number): boolean {
  // What lets clicks through cannot be found by one.
  if (getComputedStyle(element).pointerEvents === "none") return true;
  const root = element.getRootNode() as Document | ShadowRoot;
  const found = root.elementFromPoint(x, y);
  return found !== null && part.contains(found);
}

/** Whether somebody who looks at the screen sees this element; `part`: of which nothing counts as lying on top of it. */
function isSeen(element: Element, part: Element): boolean {
  let box = element.getBoundingClientRect();
  if (box.width < SCALE_MIN || box.height < SCALE_MIN) return false;
  let x = box.left + box.width / 2;
  let y = box.top + box.height / 2;
  for (let each: Element | null = element, within = part; each; within = each) {
    // `checkVisibility` is younger than some browsers that show the screen well.
    if (each.checkVisibility?.({ visibilityProperty: true, contentVisibilityAuto: true }) === false) return false;
    if (!isOpaque(each) || !isOnTop(each, within, x, y)) return false;
    each = frameOf(each);
    if (!each) break;
    box = each.getBoundingClientRect();
    const { offsetWidth, clientLeft, clientTop } = each as HTMLElement;
    const scale = offsetWidth > 0 ? box.width / offsetWidth : 1;
    x = box.left + (clientLeft + x) * scale;
    y = box.top + (clientTop + y) * scale;
  }
  return true;
}

/**
 * In a frame of another origin nobody can look out. There the browser is asked, where it can be (version 2 of the observer):
 * it says "visible" only when it is sure.
 */
function isCutOff(): boolean {
  try {
    return window.top !== window && window.top?.document === undefined;
  } catch {
    return true;
  }
}

class Watch {
  readonly #observer: IntersectionObserver;
  readonly #observed = new Set<Element>();
  /** Marks in the window, each with the time since when it is seen; null: it is not. */
  readonly #inView = new Map<Element, number | null>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly list: Element,
    private readonly read: (seq: number) => void,
  ) {
    const asksBrowser = isCutOff();
    this.#observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          const isVisible = (entry as { isVisible?: boolean }).isVisible ?? true;
          if (!entry.isIntersecting || (asksBrowser && !isVisible)) this.#inView.delete(entry.target);
          else if (!this.#inView.has(entry.target)) this.#inView.set(entry.target, null);
        }
        this.look();
      },
      (asksBrowser ? { trackVisibility: true, delay: 100 } : {}) as IntersectionObserverInit,
    );
  }

  /** Look at what is in the window, and again while something there is not read. */
  readonly look = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!isWatching()) {
      for (const mark of this.#inView.keys()) this.#inView.set(mark, null);
      return;
    }
    const now = performance.now();
    const seqs: number[] = [];
    for (const [mark, since] of this.#inView) {
      if (!mark.isConnected) this.#forget(mark);
      else if (!isSeen(mark, this.list)) this.#inView.set(mark, null);
      else if (since === null) this.#inView.set(mark, now);
      else if (now - since >= SEEN_MS) {
        // It is said again until the mark is gone: who is told may not have been able to note it.
        seqs.push(Number(mark.getAttribute(SEEN_MARK)));
        this.#inView.set(mark, now);
      }
    }
    if (this.#inView.size > 0) this.#timer = setTimeout(this.look, SEEN_MS);
    if (seqs.length > 0) this.read(Math.max(...seqs));
  };

  /** The marks that there are now. */
  observe(marks: Iterable<Element>): void {
    for (const mark of this.#observed) if (!mark.isConnected) this.#forget(mark);
    for (const mark of marks) {
      if (this.#observed.has(mark)) continue;
      this.#observed.add(mark);
      this.#observer.observe(mark);
    }
  }

  end(): void {
    this.#observer.disconnect();
    clearTimeout(this.#timer);
  }

  #forget(mark: Element): void {
    this.#observer.unobserve(mark);
    this.#observed.delete(mark);
    this.#inView.delete(mark);
  }
}

/** `seen` is told of the newest message that was; `version` changes whenever there may be other marks. */
export function useReadReceipts(
  list: RefObject<HTMLElement | null>,
  seen: (seq: number) => void,
  version: unknown,
): void {
  const watch = useRef<Watch | null>(null);

  useEffect(() => {
    const thread = list.current?.parentElement;
    if (!thread || typeof IntersectionObserver === "undefined") return;
    const made = (watch.current = new Watch(thread, seen));
    document.addEventListener("visibilitychange", made.look);
    window.addEventListener("focus", made.look);
    window.addEventListener("blur", made.look);
    return () => {
      watch.current = null;
      made.end();
      document.removeEventListener("visibilitychange", made.look);
      window.removeEventListener("focus", made.look);
      window.removeEventListener("blur", made.look);
    };
  }, [list, seen]);

  useEffect(() => {
    const { current } = list;
    if (current) watch.current?.observe(current.querySelectorAll(`[${SEEN_MARK}]`));
  }, [list, seen, version]);
}
