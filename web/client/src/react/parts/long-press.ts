/** Fingers press long where a mouse would point and click. */
import { useEffect, useRef, type MouseEvent, type PointerEvent } from "react";
import { useLatest } from "../hooks.js";

const LONG_MS = 500;
/** A finger that moves further wants to scroll. */
const STILL_PX = 10;

interface LongPress<T> {
  onPointerDown: (event: PointerEvent<T>) => void;
  onPointerMove: (event: PointerEvent<T>) => void;
  onPointerUp: () => void;
  onPointerCancel: () => void;
  onContextMenu: (event: MouseEvent<T>) => void;
}

/** Calls `act` once for a finger that rests on the element, links and buttons within it excepted. */
export function useLongPress<T extends HTMLElement>(act: (element: T) => void): LongPress<T> {
  const press = useRef<{ x: number; y: number; timer: ReturnType<typeof setTimeout> } | null>(null);
  const now = useLatest(act);
  const end = (): void => {
    clearTimeout(press.current?.timer);
    press.current = null;
  };
  useEffect(() => () => clearTimeout(press.current?.timer), []);
  return {
    onPointerDown: (event) => {
      end();
      const { currentTarget: element, clientX: x, clientY: y, target, pointerType } = event;
      if (pointerType !== "touch" || (target as Element).closest("a, button")) return;
      const timer = setTimeout(() => {
        end();
        now.current(element);
      }, LONG_MS);
      press.current = { x, y, timer };
    },
    onPointerMove: ({ clientX, clientY }) => {
      const { current } = press;
      if (current && Math.hypot(clientX - current.x, clientY - current.y) > STILL_PX) end();
    },
    onPointerUp: end,
    onPointerCancel: end,
    // Some browsers open a menu of their own for it, before the time is over.
    onContextMenu: (event) => {
      if (!press.current) return;
      event.preventDefault();
      end();
      now.current(event.currentTarget);
    },
  };
}
