/**
 * A menu below the button that opened it: one stop of the Tab key, arrow keys, Home and End move in it, Escape and Tab close
 * it. Source: WAI-ARIA Authoring Practices, menu button.
 */
import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { useLatest, useLayoutEffectOnClient } from "./hooks.js";

interface MenuProps {
  label: string;
  /** `returns`: the focus goes back to what opened it. */
  onClose: (returns: boolean) => void;
  /** `MenuItem`s. */
  children: ReactNode;
}

export function Menu({ label, onClose, children }: MenuProps): ReactNode {
  const menu = useRef<HTMLDivElement>(null);
  const close = useLatest(onClose);

  useLayoutEffectOnClient(() => {
    menu.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus({ preventScroll: true });
  }, []);

  useEffect(() => {
    const onPointerDown = (event: Event): void => {
      // In a shadow root the document sees only its host as the target.
      const around = menu.current?.parentElement;
      if (around && !event.composedPath().includes(around)) close.current(false);
    };
    document.addEventListener("pointerdown", onPointerDown, true);
    return () => document.removeEventListener("pointerdown", onPointerDown, true);
  }, [close]);

  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    const items = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const at = items.findIndex((item) => item.matches(":focus"));
    const next: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const wanted = next[event.key];
    if (event.key === "Escape" || event.key === "Tab") onClose(true);
    else if (wanted !== undefined && !event.altKey) items.at(wanted % items.length)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div ref={menu} className="tidings-menu" role="menu" aria-label={label} onKeyDown={onKeyDown}>
      {children}
    </div>
  );
}

interface MenuItemProps {
  icon: ReactNode;
  /** It destroys something, or hurts somebody. */
  danger?: boolean;
  onClick: () => void;
  children: ReactNode;
}

export function MenuItem({ icon, danger = false, onClick, children }: MenuItemProps): ReactNode {
  return (
    <button type="button" role="menuitem" tabIndex={-1} data-danger={danger || undefined} onClick={onClick}>
      {icon}
      <span>{children}</span>
    </button>
  );
}
