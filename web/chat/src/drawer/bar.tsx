/** Above the chat of a demo: the count in short, what is broken now, and the way into the drawer. */
import { useEffect, useRef, useState, type ReactNode } from "react";
import type { Demonstrated } from "./frame.js";
import { nameOf, setOpen, useHeard, useOpen } from "./open.js";
import { PANEL_ID } from "./panel.js";
import { isWhole, type Fault } from "./state.js";
import { drawerWords as words } from "./words.js";
import "./drawer.css";

export function Bar({ demonstrated }: { demonstrated: Demonstrated }): ReactNode {
  const { state, trouble } = useHeard(demonstrated);
  const open = useOpen();
  const button = useRef<HTMLButtonElement>(null);
  const was = useRef(open);
  useEffect(() => {
    // Closed from inside: the focus returns to where it was opened.
    if (was.current && !open) button.current?.focus();
    was.current = open;
  }, [open]);

  const nameIn = (fault: Fault) => (fault.user === null ? null : nameOf(demonstrated, fault.user));
  const count = state?.count;
  const isBroken = state !== null && !isWhole(state);
  const dead = state?.nodes.filter((node) => node.state !== "running") ?? [];
  const numbered = state !== null && state.nodes.length > 1;
  const deadNodes = (hasSeconds: boolean) =>
    dead.map((node) => words.nodeDead(numbered ? node.number : null, hasSeconds ? node.starts_in_s : null));
  const [wasBroken, setWasBroken] = useState(false);
  useEffect(() => {
    if (isBroken) setWasBroken(true);
  }, [isBroken]);
  return (
    <header lang="en" dir="ltr" className="demo-bar tidings" data-broken={isBroken}>
      <p className="demo-bar-count">
        {trouble === "none" ? (
          <>
            <strong>{words.bar}</strong>
            {count && (
              <>
                <span className="demo-bar-more">{words.countShort(count.sent, count.received)}</span>
                <span data-bad={count.lost + count.doubled > 0}>{words.lossShort(count.lost, count.doubled)}</span>
              </>
            )}
            {isBroken && (
              <span className="demo-bar-faults">
                {deadNodes(true).map((said) => (
                  <span key={said}>{said}</span>
                ))}
                {state.faults.map((fault) => (
                  <span key={`${fault.kind} ${fault.user}`}>{words.chip(fault, nameIn(fault))}</span>
                ))}
              </span>
            )}
          </>
        ) : (
          <span>{words[trouble]}</span>
        )}
      </p>
      {/* Without the seconds: what is said is said once. */}
      <p role="status" className="tidings-hidden">
        {isBroken && [...deadNodes(false), ...state.faults.map((fault) => words.begun(fault, nameIn(fault)))].join(" ")}
        {!isBroken && wasBroken && words.healed}
      </p>
      <button
        ref={button}
        type="button"
        className="tidings-button demo-bar-open"
        aria-expanded={open}
        aria-controls={PANEL_ID}
        onClick={() => setOpen(!open)}
      >
        {words.open}
      </button>
    </header>
  );
}
