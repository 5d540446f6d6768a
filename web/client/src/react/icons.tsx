/** Inline drawings: shape and text differ between states, never colour alone. */
import type { ReactNode } from "react";
import type { ConnectionStatus } from "../types.js";
import type { Tick } from "./words/en.js";
import { useWords } from "./words/context.js";

interface IconProps {
  name: string;
  box?: string;
  /** Filled, not drawn with lines. */
  solid?: boolean;
  /** Turned around where one writes from the right: what points somewhere. Ticks and clocks are not. */
  turns?: boolean;
  children: ReactNode;
}

function Icon({ name, box = "0 0 20 20", solid = false, turns = false, children }: IconProps): ReactNode {
  const kinds = `${solid ? " tidings-icon-solid" : ""}${turns ? " tidings-icon-turns" : ""}`;
  return (
    <svg className={`tidings-icon tidings-icon-${name}${kinds}`} viewBox={box} aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

const CLOCK = (
  <Icon name="clock" box="0 0 12 12">
    <circle cx="6" cy="6" r="5" />
    <path d="M6 3.3V6l1.7 1.2" />
  </Icon>
);

const tickIcons: Record<Tick, ReactNode> = {
  waiting: CLOCK,
  sending: CLOCK,
  cancelling: (
    <Icon name="clock" box="0 0 12 12">
      <circle cx="6" cy="6" r="5" />
      <path d="M4.3 4.3l3.4 3.4M7.7 4.3 4.3 7.7" />
    </Icon>
  ),
  failed: (
    <Icon name="failed" box="0 0 12 12">
      <circle cx="6" cy="6" r="5" />
      <path d="M6 3.2v3.1M6 8.7v.1" />
    </Icon>
  ),
  sent: (
    <Icon name="sent" box="0 0 14 12">
      <path d="M1.5 6.6 5 10 12 2" />
    </Icon>
  ),
  delivered: (
    <Icon name="delivered" box="0 0 19 12">
      <path d="M1.5 6.6 5 10 12 2M9.3 9.6l.4.4 7-8" />
    </Icon>
  ),
  read: (
    <Icon name="read" box="0 0 20 12">
      <path d="M1.8 6.6 5.3 10 12.3 2M9.7 9.6l.4.4 7-8" />
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
    <svg className="tidings-dot" data-status={status} viewBox="0 0 12 12" aria-hidden="true" focusable="false">
      {shape === "full" && <circle cx="6" cy="6" r="5" className="tidings-dot-full" />}
      {(shape === "half" || shape === "ring") && <circle cx="6" cy="6" r="4.5" />}
      {shape === "half" && (
        <path
          d={status === "polling" ? "M6 1.5a4.5 4.5 0 0 1 0 9z" : "M6 1.5a4.5 4.5 0 0 0 0 9z"}
          className="tidings-dot-full"
        />
      )}
      {shape === "cross" && <path d="M2.5 2.5l7 7M9.5 2.5l-7 7" />}
    </svg>
  );
}

export function BackIcon(): ReactNode {
  return (
    <Icon name="back" turns>
      <path d="M12.5 4 6.5 10l6 6" />
    </Icon>
  );
}

export function MoreIcon(): ReactNode {
  return (
    <Icon name="more" solid>
      <circle cx="4.6" cy="10" r="1.5" />
      <circle cx="10" cy="10" r="1.5" />
      <circle cx="15.4" cy="10" r="1.5" />
    </Icon>
  );
}

export function SendIcon(): ReactNode {
  return (
    <Icon name="send" solid turns>
      <path d="M3.4 3.5c-.5-.2-1 .3-.9.8L4 9.1l6.6.9L4 10.9l-1.5 4.8c-.1.5.4 1 .9.8l13.5-5.8a.75.75 0 0 0 0-1.4z" />
    </Icon>
  );
}

export function DownIcon(): ReactNode {
  return (
    <Icon name="down">
      <path d="M10 4v12M4.8 10.8 10 16l5.2-5.2" />
    </Icon>
  );
}

/** Beside "Show more"; turned over beside "Show less". */
export function FoldIcon(): ReactNode {
  return (
    <Icon name="fold">
      <path d="M5 7.5 10 12.5l5-5" />
    </Icon>
  );
}

/** What is not there any more, or not shown. */
export function HideIcon(): ReactNode {
  return (
    <Icon name="hide">
      <path d="M3 3l14 14M8.3 5.1A7.9 7.9 0 0 1 10 4.9c3.6 0 6.2 2.4 7.5 5.1a9.8 9.8 0 0 1-2.2 2.9M12.3 14.6a7.6 7.6 0 0 1-2.3.5c-3.6 0-6.2-2.4-7.5-5.1a10 10 0 0 1 2.8-3.4" />
    </Icon>
  );
}

export function PenIcon(): ReactNode {
  return (
    <Icon name="pen">
      <path d="M10.5 4H6a2.5 2.5 0 0 0-2.5 2.5V14A2.5 2.5 0 0 0 6 16.5h7.5A2.5 2.5 0 0 0 16 14V9.5" />
      <path d="M8 12l.5-2.3 6.7-6.7a1.27 1.27 0 0 1 1.8 1.8l-6.7 6.7z" />
    </Icon>
  );
}

export function CopyIcon(): ReactNode {
  return (
    <Icon name="copy">
      <rect x="7" y="7" width="9.5" height="9.5" rx="2.2" />
      <path d="M13 4.7A2.2 2.2 0 0 0 11 3.5H5.7a2.2 2.2 0 0 0-2.2 2.2V11a2.2 2.2 0 0 0 1.2 2" />
    </Icon>
  );
}

export function FlagIcon(): ReactNode {
  return (
    <Icon name="flag">
      <path d="M5 17V3.5h9.5l-1.8 3.7 1.8 3.8H5" />
    </Icon>
  );
}

export function BlockIcon(): ReactNode {
  return (
    <Icon name="block">
      <circle cx="10" cy="10" r="6.9" />
      <path d="M5.2 5.2l9.6 9.6" />
    </Icon>
  );
}

export function SearchIcon(): ReactNode {
  return (
    <Icon name="search">
      <circle cx="9" cy="9" r="5.3" />
      <path d="M13 13l4 4" />
    </Icon>
  );
}

/** A message that has arrived: the button of the launcher. */
export function MessagesIcon(): ReactNode {
  return (
    <Icon name="messages">
      <path d="M4.5 3.5h11a2.5 2.5 0 0 1 2.5 2.5v6.5a2.5 2.5 0 0 1-2.5 2.5H9L5.2 18v-3h-.7A2.5 2.5 0 0 1 2 12.5V6a2.5 2.5 0 0 1 2.5-2.5z" />
      <path d="M6.5 9.3l2 2 3.7-4.3M10.7 10.9l.4.4 3.7-4.3" />
    </Icon>
  );
}

export function CloseIcon(): ReactNode {
  return (
    <Icon name="close">
      <path d="M5 5l10 10M15 5 5 15" />
    </Icon>
  );
}

/** Somebody whose name has neither letters nor digits. */
export function PersonIcon(): ReactNode {
  return (
    <Icon name="person" solid>
      <circle cx="10" cy="6.6" r="3.4" />
      <path d="M3.6 16.6a6.4 5.2 0 0 1 12.8 0c0 .8-.6 1.3-1.3 1.3H4.9c-.7 0-1.3-.5-1.3-1.3z" />
    </Icon>
  );
}

/** Somebody types: three dots that move; the word stands beside them. */
export function Dots(): ReactNode {
  return (
    <span className="tidings-dots" aria-hidden="true">
      <i className="tidings-moves" />
      <i className="tidings-moves" />
      <i className="tidings-moves" />
    </span>
  );
}
export function AlertIcon(): ReactNode {
  return (
    <Icon name="alert">
      <circle cx="10" cy="10" r="7" />
      <path d="M10 6.2v4.6M10 13.6v.1" />
    </Icon>
  );
}
