/** In development: says so, once, where a screen has no height because the element around it gives none. */
import { useEffect, type RefObject } from "react";

/** By then the stylesheet is there, and what a host unfolds is unfolded. */
const LOOK_AFTER_MS = 1000;
const PROPERTY = "contain-intrinsic-block-size";

declare const process: { env: { NODE_ENV?: string } };

/** Whoever builds the page writes the value in; in a page that nobody built there is no `process`. */
function isDevelopment(): boolean {
  try {
    return process.env.NODE_ENV !== "production";
  } catch {
    return false;
  }
}

/** Whether it is as high as the stylesheet makes it where nothing else does (screen.css), or not high at all. */
function needsHeight(screen: HTMLElement): boolean {
  const { clientHeight: height } = screen;
  if (screen.clientWidth === 0) return false; // not to be seen: there is nothing to measure
  screen.style.setProperty(PROPERTY, `${height + 1}px`, "important");
  const grows = screen.clientHeight > height;
  screen.style.removeProperty(PROPERTY);
  return grows || height === 0;
}

let isSaid = false;

export function useHeightNeeded(screen: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    if (isSaid || !isDevelopment()) return;
    const timer = setTimeout(() => {
      const { current } = screen;
      if (isSaid || !current || !needsHeight(current)) return;
      isSaid = true;
      console.warn(
        "Tidings: ChatScreen fills the element around it, and that has no height. Give it one, such as `height: 100dvh`.",
        current.parentElement,
      );
    }, LOOK_AFTER_MS);
    return () => clearTimeout(timer);
  }, [screen]);
}
