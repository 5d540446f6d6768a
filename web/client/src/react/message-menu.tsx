/**
 * What can be done with one message. The list has one menu, which opens beside the message that asked for it, in the
 * browser's top layer: neither the list nor a host's `overflow` or `transform` cuts it.
 */
import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { useLatest, useLayoutEffectOnClient } from "./hooks.js";
import type { Bubble } from "./rows.js";
import { useWords } from "./words/context.js";

const GAP_PX = 4;

export interface MessageActions {
  /** Null where it cannot be done: an own message, somebody who is blocked already. */
  report: ((seq: number, text: string) => void) | null;
  block: (() => void) | null;
  /** Tell that something was done that cannot be seen. */
  say: (sentence: string) => void;
}

interface MessageMenuProps {
  bubble: Bubble;
  name: string;
  /** The message that it belongs to. */
  article: HTMLElement;
  actions: MessageActions;
  /** `returns`: the focus goes back to the message. */
  onClose: (returns: boolean) => void;
}

/** The text into the clipboard, also where there is no secure context; false when the browser forbids it. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/** Below the message at its beginning; above it where there is no room; in the window in any case. */
function place(menu: HTMLElement, article: HTMLElement): void {
  const at = (article.querySelector(".tidings-actions") ?? article).getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const { innerWidth, innerHeight } = window;
  const below = at.bottom + GAP_PX;
  const top = below + height <= innerHeight ? below : at.top - GAP_PX - height;
  const isRtl = getComputedStyle(menu).direction === "rtl";
  const left = isRtl ? at.right - width : at.left;
  menu.style.top = `${Math.max(GAP_PX, top)}px`;
  menu.style.left = `${Math.max(GAP_PX, Math.min(left, innerWidth - width - GAP_PX))}px`;
}

export function MessageMenu({ bubble, name, article, actions, onClose }: MessageMenuProps): ReactNode {
  const words = useWords();
  const menu = useRef<HTMLDivElement>(null);
  const close = useLatest(onClose);
  const { seq, text, own } = bubble;
  const { report, block, say } = actions;

  useLayoutEffectOnClient(() => {
    const element = menu.current;
    if (!element) return;
    // An older browser shows it where it stands, which is right as long as no host transforms what is around it.
    element.showPopover?.();
    place(element, article);
    element.querySelector<HTMLElement>("[role=menuitem]")?.focus({ preventScroll: true });
  }, [article]);

  useEffect(() => {
    const onPointerDown = (event: Event): void => {
      if (event.target instanceof Node && !menu.current?.contains(event.target)) close.current(false);
    };
    const onScroll = (): void => close.current(false);
    document.addEventListener("pointerdown", onPointerDown, true);
    const scroller = article.closest(".tidings-scroll");
    scroller?.addEventListener("scroll", onScroll);
    return () => {
      document.removeEventListener("pointerdown", onPointerDown, true);
      scroller?.removeEventListener("scroll", onScroll);
    };
  }, [article, close]);

  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    const items = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const next: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const wanted = next[event.key];
    if (event.key === "Escape" || event.key === "Tab") onClose(true);
    else if (wanted !== undefined && !event.altKey) items.at(wanted % items.length)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const item = (label: string, act: () => void): ReactNode => (
    <button type="button" role="menuitem" tabIndex={-1} onClick={act}>
      {label}
    </button>
  );
  return (
    <div
      ref={menu}
      className="tidings-menu"
      role="menu"
      aria-label={words.actions}
      {...{ popover: "manual" }}
      onKeyDown={onKeyDown}
    >
      {item(words.copy, () => {
        onClose(true);
        void copy(text).then((done) => say(done ? words.copied : words.copyFailed));
      })}
      {!own &&
        report !== null &&
        seq !== null &&
        item(words.reportMessage, () => {
          onClose(false);
          report(seq, text);
        })}
      {!own &&
        block !== null &&
        item(words.block(name), () => {
          onClose(false);
          block();
        })}
    </div>
  );
}
