import { useRef, type KeyboardEvent, type PointerEvent, type ReactNode } from "react";
import { useWords } from "../words/context.js";

export const LIST_WIDTH = { min: 280, max: 400, usual: 348 } as const;
const STEP_PX = 16;

/** A width that the list may have: whole pixels between the least and the greatest. */
export function listWidth(wanted: number): number {
  if (!Number.isFinite(wanted)) return LIST_WIDTH.usual;
  return Math.round(Math.min(LIST_WIDTH.max, Math.max(LIST_WIDTH.min, wanted)));
}

interface SeparatorProps {
  /** px */
  width: number;
  onWidth: (width: number) => void;
}

/** Between list and conversation: dragged, or moved with the arrow keys, Home and End; a double click sets it back. */
export function Separator({ width, onWidth }: SeparatorProps): ReactNode {
  const words = useWords();
  const drag = useRef<{ from: number; width: number; sign: number } | null>(null);

  /** Towards the end of the line is wider: to the right, or to the left where one writes from the right. */
  const signOf = (element: Element): number => (getComputedStyle(element).direction === "rtl" ? -1 : 1);

  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    const sign = signOf(event.currentTarget);
    const next: Record<string, number> = {
      ArrowRight: width + sign * STEP_PX,
      ArrowLeft: width - sign * STEP_PX,
      Home: LIST_WIDTH.min,
      End: LIST_WIDTH.max,
    };
    const wanted = next[event.key];
    if (wanted === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    onWidth(listWidth(wanted));
  };

  const onPointerDown = (event: PointerEvent<HTMLElement>): void => {
    if (event.button !== 0) return;
    // Else the text on both sides would be selected.
    event.preventDefault();
    event.currentTarget.focus();
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { from: event.clientX, width, sign: signOf(event.currentTarget) };
  };
  const onPointerMove = (event: PointerEvent<HTMLElement>): void => {
    const { current } = drag;
    if (current) onWidth(listWidth(current.width + current.sign * (event.clientX - current.from)));
  };
  const end = (): void => {
    drag.current = null;
  };

  return (
    <div
      className="tidings-separator"
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-label={words.listWidth}
      aria-valuemin={LIST_WIDTH.min}
      aria-valuemax={LIST_WIDTH.max}
      aria-valuenow={width}
      onKeyDown={onKeyDown}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={end}
      onPointerCancel={end}
      onDoubleClick={() => onWidth(LIST_WIDTH.usual)}
    />
  );
}
