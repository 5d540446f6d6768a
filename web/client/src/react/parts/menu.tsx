/**
 * A menu of things to do, which opens beside what asked for it, in the browser's top layer: neither a list nor a host's
 * `overflow` or `transform` cuts it.
 */
import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { useLatest, useLayoutEffectOnClient } from "../hooks.js";

const GAP_PX = 4;

export interface MenuItem {
  label: string;
  icon?: ReactNode;
  /** It destroys something. */
  danger?: boolean;
  act: () => void;
}

interface MenuProps {
  label: string;
  items: readonly MenuItem[];
  /** What it opens beside. */
  anchor: Element;
  /** `returns`: the focus goes back to where it was. */
  onClose: (returns: boolean) => void;
}

/** Below the anchor at its beginning; above it where there is no room; in the window in any case. */
function place(menu: HTMLElement, anchor: Element): void {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const { innerWidth, innerHeight } = window;
  const below = at.bottom + GAP_PX;
  const top = below + height <= innerHeight ? below : at.top - GAP_PX - height;
  const isRtl = getComputedStyle(menu).direction === "rtl";
  const left = isRtl ? at.right - width : at.left;
  // As custom properties: what the stylesheet declares important is stronger than a style of the element.
  menu.style.setProperty("--t-top", `${Math.max(GAP_PX, top)}px`);
  menu.style.setProperty("--t-left", `${Math.max(GAP_PX, Math.min(left, innerWidth - width - GAP_PX))}px`);
}

export function Menu({ label, items, anchor, onClose }: MenuProps): ReactNode {
  const menu = useRef<HTMLDivElement>(null);
  const close = useLatest(onClose);

  useLayoutEffectOnClient(() => {
    const element = menu.current;
    if (!element) return;
    // An older browser shows it where it stands, which is right as long as no host transforms what is around it.
    element.showPopover?.();
    place(element, anchor);
    element.querySelector<HTMLElement>("[role=menuitem]")?.focus({ preventScroll: true });
  }, [anchor]);

  useEffect(() => {
    const onPointerDown = (event: Event): void => {
      const path = event.composedPath();
      // A click on the anchor is its own: it closes what it has opened.
      if (menu.current && !path.includes(menu.current) && !path.includes(anchor)) close.current(false);
    };
    const onScroll = (): void => close.current(false);
    const onResize = (): void => {
      if (menu.current) place(menu.current, anchor);
    };
    // The window becomes smaller, or the letters larger.
    const resized = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(onResize);
    if (menu.current) resized?.observe(menu.current);
    window.addEventListener("resize", onResize);
    document.addEventListener("pointerdown", onPointerDown, true);
    const scroller = anchor.closest(".tidings-scroll");
    scroller?.addEventListener("scroll", onScroll);
    return () => {
      resized?.disconnect();
      window.removeEventListener("resize", onResize);
      document.removeEventListener("pointerdown", onPointerDown, true);
      scroller?.removeEventListener("scroll", onScroll);
    };
  }, [anchor, close]);

  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    const buttons = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const at = buttons.findIndex((each) => each === (event.target as Element));
    const next: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const wanted = next[event.key];
    if (event.key === "Escape" || event.key === "Tab") onClose(true);
    else if (wanted !== undefined && !event.altKey) buttons.at(wanted % buttons.length)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={menu}
      className="tidings-menu"
      role="menu"
      aria-label={label}
      {...{ popover: "manual" }}
      onKeyDown={onKeyDown}
    >
      {items.map((item) => (
        <button
          key={item.label}
          type="button"
          role="menuitem"
          tabIndex={-1}
          data-danger={item.danger ?? false}
          onClick={item.act}
        >
          {item.icon}
          <span>{item.label}</span>
        </button>
      ))}
    </div>
  );
}
