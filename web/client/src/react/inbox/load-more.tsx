/** At the end of a list of conversations, while there are more: they come before the end is seen, or by a click. */
import { useRef, type ReactNode, type RefObject } from "react";
import { useInbox, useLayoutEffectOnClient } from "../hooks.js";
import { focusedIn, focusOn } from "../parts/focus.js";
import { useWords } from "../words/context.js";
import { useEnd } from "./list-scroll.js";

interface LoadMoreProps {
  scroller: RefObject<HTMLElement | null>;
  /** They come by themselves. */
  isAhead: boolean;
}

export function LoadMore({ scroller, isAhead }: LoadMoreProps): ReactNode {
  const words = useWords();
  const { loading, loadMore } = useInbox();
  const button = useRef<HTMLButtonElement>(null);
  const more = (): void => void (loading || loadMore());
  useEnd(button, scroller, isAhead && !loading ? more : null);
  useLayoutEffectOnClient(() => {
    const { current: element } = button;
    return () => {
      // Those were all: one goes on from the last of those that one has seen.
      if (!element || focusedIn(element) !== element) return;
      focusOn([...(scroller.current?.querySelectorAll("a") ?? [])].at(-1) ?? null);
    };
  }, [scroller]);
  return (
    <button
      ref={button}
      type="button"
      className="tidings-link tidings-inbox-more"
      // It keeps the focus, which a disabled one would lose.
      aria-disabled={loading}
      onClick={more}
    >
      {loading ? words.loadingConversations : words.loadMore}
    </button>
  );
}
