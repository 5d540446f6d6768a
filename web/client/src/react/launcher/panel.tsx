/**
 * The panel of the launcher: beside the page where there is room, and one goes on with the page meanwhile; on a phone the whole
 * screen, above everything, and the only thing that there is until it is closed.
 *
 * It is a `<dialog>`: where it is the whole screen the browser keeps the focus in it, hides the page from screen readers, and
 * closes it by the system's own gesture.
 */
import { useEffect, useRef, type ReactNode } from "react";
import { useLatest, useLayoutEffectOnClient } from "../hooks.js";
import { closesOnBack, closeTopmost } from "../parts/back.js";
import { focusedIn, focusOn } from "../parts/focus.js";
import { useMedia } from "../parts/media.js";
import { WayOutContext } from "../parts/way-out.js";
import { useWords } from "../words/context.js";

/** A window in which a panel beside the page would leave too little of both. */
export const SMALL = "(max-width: 480px), (max-height: 420px)";

interface PanelProps {
  id: string;
  onClose: () => void;
  children: ReactNode;
}

export function Panel({ id, onClose, children }: PanelProps): ReactNode {
  const words = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const isWhole = useMedia(SMALL);
  /** What had the focus in it before it changed its kind, as when a phone is turned. */
  const before = useRef<Element | null>(null);

  useLayoutEffectOnClient(() => {
    const element = dialog.current;
    if (!element) return;
    if (isWhole) element.showModal();
    else element.show();
    const release = isWhole ? holdPage() : undefined;
    // The panel as a whole: on a phone no keyboard opens, and a screen reader begins with its name.
    focusOn(before.current ?? element);
    return () => {
      release?.();
      const focused = focusedIn(element);
      before.current = element.contains(focused) ? focused : null;
      element.close();
    };
  }, [isWhole]);
  const close = useLatest(onClose);
  // Before the effects of what is in it: Back closes that first.
  useLayoutEffectOnClient(() => (isWhole ? closesOnBack(() => close.current()) : undefined), [isWhole, close]);
  useEffect(() => {
    const element = dialog.current;
    if (isWhole && element) return fitsWhatIsSeen(element);
  }, [isWhole]);

  return (
    <dialog
      ref={dialog}
      id={id}
      className="tidings-launcher-panel tidings-moves"
      aria-label={words.messages}
      tabIndex={-1}
      // By the system's own gesture, which is Back where there is one.
      onCancel={(event) => {
        event.preventDefault();
        if (!closeTopmost()) onClose();
      }}
      // By the browser itself, which need not ask.
      onClose={({ currentTarget }) => currentTarget.open || onClose()}
    >
      <WayOutContext.Provider value={onClose}>{children}</WayOutContext.Provider>
    </dialog>
  );
}

/** The page behind does not scroll until the answer is called. */
function holdPage(): () => void {
  const { style } = document.documentElement;
  const before = [style.getPropertyValue("overflow"), style.getPropertyPriority("overflow")] as const;
  style.setProperty("overflow", "hidden", "important");
  return () => style.setProperty("overflow", ...before);
}

/** The keyboard of a phone covers a part of the window: header and composer stay in the rest. Answers the undo. */
function fitsWhatIsSeen({ style }: HTMLElement): (() => void) | undefined {
  const view = globalThis.visualViewport;
  if (!view) return;
  const fit = (): void => {
    // One who magnifies the page with two fingers moves about in it.
    const isMagnified = view.scale > 1.01;
    style.setProperty("--t-seen", isMagnified ? "" : `${view.height}px`);
    style.setProperty("--t-seen-from", isMagnified ? "" : `${view.offsetTop}px`);
  };
  fit();
  view.addEventListener("resize", fit);
  view.addEventListener("scroll", fit);
  return () => {
    view.removeEventListener("resize", fit);
    view.removeEventListener("scroll", fit);
    style.removeProperty("--t-seen");
    style.removeProperty("--t-seen-from");
  };
}
