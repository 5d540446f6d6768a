/** Sent, acknowledged, received, lost, doubled: the demo's own count, and what the numbers wait for. */
import type { ReactNode } from "react";
import type { Count } from "./state.js";
import { drawerWords as words } from "./words.js";

const ROWS = ["sent", "acknowledged", "received", "lost", "doubled"] as const;

export function CountTable({ count, onAnew }: { count: Count; onAnew: () => void }): ReactNode {
  return (
    <section className="demo-count" aria-labelledby="demo-count-title">
      <h3 id="demo-count-title">{words.countTitle}</h3>
      <dl>
        {ROWS.map((row) => (
          <div key={row} data-row={row} data-bad={(row === "lost" || row === "doubled") && count[row] > 0}>
            <dt>{words[row]}</dt>
            <dd>{count[row]}</dd>
          </div>
        ))}
      </dl>
      <p className="demo-note demo-count-note">
        <span>{sentence(count)}</span>
        <button type="button" className="tidings-link" onClick={onAnew}>
          {words.countAnew}
        </button>
      </p>
    </section>
  );
}

function sentence(count: Count): string {
  const parts = [
    count.waiting > 0 && words.waiting(count.waiting),
    count.on_the_way > 0 && words.onTheWay(count.on_the_way),
    count.unopened > 0 && words.unopened(count.unopened),
    count.elsewhere > 0 && words.elsewhere(count.elsewhere),
  ].filter((part) => part !== false);
  if (parts.length > 0) return `${parts.join(", ")}.`;
  if (count.lost + count.doubled > 0) return "";
  return count.sent === 0 ? words.nothingYet : words.allArrived;
}
