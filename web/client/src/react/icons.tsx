/** Inline drawings: shape and text differ between states, never colour alone. */
import type { ReactNode } from "react";
import type { ConnectionStatus } from "../types.js";
import type { Tick } from "./rows.js";
import { useWords } from "./words/context.js";

function Icon({ name, box = "0 0 16 16", children }: { name: string; box?: string; children: ReactNode }): ReactNode {
  return (
    <svg className={`tidings-icon tidings-icon-${name}`} viewBox={box} aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

const CHECK = "M2 8.6 5.4 12 12 4.4";

const tickIcons: Record<Tick, ReactNode> = {
  waiting: (
    <Icon name="clock">
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.8V8l2.2 1.6" />
    </Icon>
  ),
  sending: (
    <Icon name="clock">
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.8V8l2.2 1.6" />
    </Icon>
  ),
  cancelling: (
    <Icon name="clock">
      <circle cx="8" cy="8" r="6" />
      <path d="M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" />
    </Icon>
  ),
  failed: (
    <Icon name="failed">
      <circle cx="8" cy="8" r="6.4" />
      <path d="M8 4.6v4.2M8 11.2v.2" />
    </Icon>
  ),
  sent: (
    <Icon name="sent" box="0 0 14 16">
      <path d={CHECK} />
    </Icon>
  ),
  delivered: (
    <Icon name="delivered" box="0 0 20 16">
      <path d={CHECK} />
      <path d="M9.4 11.4 10 12l6.6-7.6" />
    </Icon>
  ),
  read: (
    <Icon name="read" box="0 0 24 16">
      <rect x="0" y="0.5" width="24" height="15" rx="7.5" />
      <path d="M4.6 8.4 7.4 11.2 12.6 5" />
      <path d="M10.8 10.4l.8.8L17.8 5" />
    </Icon>
  ),
};

/** The state of an own message: a drawing, and its name for those who do not see it. */
export function TickMark({ tick }: { tick: Tick }): ReactNode {
  const words = useWords();
  return (
    <span className="tidings-tick" data-tick={tick} title={words.tick[tick]}>
      {tickIcons[tick]}
      <span className="tidings-hidden">{words.tick[tick]}</span>
    </span>
  );
}

type DotShape = "full" | "half" | "ring" | "cross";

/** As a user sees it: a server that has not answered for long is another state than one that is tried again. */
export type ShownStatus = ConnectionStatus | "unreachable";

const dotShapes: Record<ShownStatus, DotShape> = {
  idle: "ring",
  connecting: "ring",
  connected: "full",
  reconnecting: "half",
  polling: "half",
  offline: "ring",
  unreachable: "cross",
  unauthorized: "cross",
  refused: "cross",
  closed: "ring",
};

/** The state of the connection as a dot; the text stands beside it. */
export function StatusDot({ status }: { status: ShownStatus }): ReactNode {
  const shape = dotShapes[status];
  return (
    <svg className="tidings-dot" data-status={status} viewBox="0 0 10 10" aria-hidden="true" focusable="false">
      {shape === "full" && <circle cx="5" cy="5" r="4.2" className="tidings-dot-fill" />}
      {shape !== "full" && shape !== "cross" && <circle cx="5" cy="5" r="3.6" className="tidings-dot-line" />}
      {shape === "half" &&
        (status === "polling" ? (
          <path d="M5 1.4a3.6 3.6 0 0 1 0 7.2z" className="tidings-dot-fill" />
        ) : (
          <path d="M5 1.4a3.6 3.6 0 0 0 0 7.2z" className="tidings-dot-fill" />
        ))}
      {shape === "cross" && <path d="M2 2l6 6M8 2l-6 6" className="tidings-dot-line" />}
    </svg>
  );
}

export function BackIcon(): ReactNode {
  return (
    <Icon name="back" box="0 0 20 20">
      <path d="M12.5 4 6.5 10l6 6" />
    </Icon>
  );
}

export function MoreIcon(): ReactNode {
  return (
    <Icon name="more" box="0 0 20 20">
      <path d="M4.5 10v.01M10 10v.01M15.5 10v.01" />
    </Icon>
  );
}

export function SendIcon(): ReactNode {
  return (
    <Icon name="send" box="0 0 20 20">
      <path d="M3.2 4.1 17 10 3.2 15.9l1.5-5.1L11 10 4.7 9.2z" />
    </Icon>
  );
}

export function DownIcon(): ReactNode {
  return (
    <Icon name="down">
      <path d="M8 3v10M3.6 8.6 8 13l4.4-4.4" />
    </Icon>
  );
}

export function PenIcon(): ReactNode {
  return (
    <Icon name="pen" box="0 0 20 20">
      <path d="M4 16l.8-3.4L13.6 3.8a1.4 1.4 0 0 1 2 0l.6.6a1.4 1.4 0 0 1 0 2L7.4 15.2z" />
    </Icon>
  );
}
