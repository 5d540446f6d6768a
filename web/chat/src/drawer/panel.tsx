/** The drawer: what can be broken, for whom, and what became of the messages. */
import { useEffect, useRef, useState, type ReactNode } from "react";
import { CountTable } from "./count-table.js";
import type { Demonstrated } from "./frame.js";
import { Freeze, Network, Nodes, Traffic } from "./breaks.js";
import { controlOf, nameOf, setOpen, useHeard, useOpen } from "./open.js";
import { isWhole } from "./state.js";
import { drawerWords as words } from "./words.js";

export const PANEL_ID = "demo-panel";

export function Panel({ demonstrated }: { demonstrated: Demonstrated }): ReactNode {
  const { state } = useHeard(demonstrated);
  const open = useOpen();
  const [isMine, setMine] = useState(true);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (open) heading.current?.focus({ preventScroll: true });
  }, [open]);
  const control = controlOf(demonstrated);
  const me = nameOf(demonstrated, demonstrated.userId);

  return (
    <aside
      id={PANEL_ID}
      lang="en"
      dir="ltr"
      className="demo-panel tidings"
      aria-labelledby="demo-panel-title"
      hidden={!open}
      onKeyDown={(event) => {
        if (event.key === "Escape") setOpen(false);
      }}
    >
      <header className="demo-panel-header">
        <h2 ref={heading} id="demo-panel-title" tabIndex={-1}>
          {words.title}
        </h2>
        <button type="button" className="tidings-link" onClick={() => setOpen(false)}>
          {words.close}
        </button>
      </header>
      {state && (
        <div className="demo-panel-body">
          <CountTable count={state.count} onAnew={() => control.order("count", {})} />
          <p className="demo-note">{words.intro}</p>
          <div role="group" className="demo-whom" aria-labelledby="demo-whom">
            <h3 id="demo-whom">{words.whom}</h3>
            {[true, false].map((mine) => (
              <button
                key={String(mine)}
                type="button"
                className="tidings-button"
                aria-pressed={isMine === mine}
                onClick={() => setMine(mine)}
              >
                {mine ? words.only(me) : words.everybody}
              </button>
            ))}
          </div>
          <Network state={state} user={isMine ? demonstrated.userId : null} control={control} />
          <Freeze />
          <Nodes state={state} demonstrated={demonstrated} control={control} />
          <Traffic state={state} demonstrated={demonstrated} control={control} />
        </div>
      )}
      <footer className="demo-panel-footer">
        <button
          type="button"
          className="tidings-button"
          data-primary="true"
          disabled={state !== null && isWhole(state)}
          onClick={() => control.order("restore", {})}
        >
          {words.restore}
        </button>
      </footer>
    </aside>
  );
}
