/** What can be broken, one group for each thing that breaks. A pressed button is a fault that holds. */
import { useState, useSyncExternalStore, type ReactNode } from "react";
import { inLanguage } from "../language.js";
import { hrefOf, route } from "../route.js";
import type { Demonstrated } from "./frame.js";
import { nameOf } from "./open.js";
import type { Control, DemoNode, FaultKind, State } from "./state.js";
import { drawerWords as words } from "./words.js";

const KINDS: readonly FaultKind[] = ["reset", "stall", "refuse", "lose_replies", "buffer", "delay"];
const DELAYS_MS = [200, 1000, 3000];
/** Longer than the 10 s after which a page without a stream polls. */
const FREEZE_S = 15;
/** Time to draw what is said of it. */
const FREEZE_AFTER_MS = 100;
const RATES = [1, 5, 10];
/** With whom the traffic is where no conversation is open. */
const PARTNERS = ["ada", "ben"];

interface OrderedProps {
  state: State;
  demonstrated: Demonstrated;
  control: Control;
}

function Row({ id, explained, children }: { id: string; explained: string; children: ReactNode }): ReactNode {
  return (
    <div className="demo-row">
      <div className="demo-row-act">{children}</div>
      <p id={id} className="demo-note">
        {explained}
      </p>
    </div>
  );
}

export function Network({ state, user, control }: { state: State; user: string | null; control: Control }): ReactNode {
  const [delayMs, setDelayMs] = useState(DELAYS_MS[1] ?? 1000);
  return (
    <section aria-labelledby="demo-network">
      <h3 id="demo-network">{words.network}</h3>
      {KINDS.map((kind) => {
        const holds = state.faults.some((fault) => fault.kind === kind && fault.user === user);
        const order = (on: boolean, ms: number) =>
          control.order("fault", { kind, on, user, ...(kind === "delay" ? { delay_ms: ms } : {}) });
        return (
          <Row key={kind} id={`demo-${kind}`} explained={words.explain[kind]}>
            <button
              type="button"
              className="tidings-button demo-break"
              aria-pressed={holds}
              aria-describedby={`demo-${kind}`}
              disabled={kind === "refuse" && user !== null}
              onClick={() => order(!holds, delayMs)}
            >
              {words.buttons[kind]}
            </button>
            {kind === "delay" && (
              <select
                aria-label={words.delayBy}
                value={delayMs}
                onChange={(event) => {
                  setDelayMs(Number(event.target.value));
                  if (holds) order(true, Number(event.target.value));
                }}
              >
                {DELAYS_MS.map((ms) => (
                  <option key={ms} value={ms}>
                    {words.delayOf(ms)}
                  </option>
                ))}
              </select>
            )}
          </Row>
        );
      })}
    </section>
  );
}

export function Freeze(): ReactNode {
  const [frozen, setFrozen] = useState(false);
  const freeze = () => {
    setFrozen(true);
    setTimeout(() => {
      const end = performance.now() + FREEZE_S * 1000;
      while (performance.now() < end);
      setFrozen(false);
    }, FREEZE_AFTER_MS);
  };
  return (
    <section aria-labelledby="demo-tab">
      <h3 id="demo-tab">{words.tab}</h3>
      <Row id="demo-freeze" explained={words.explainFreeze}>
        <button
          type="button"
          className="tidings-button demo-break"
          aria-describedby="demo-freeze"
          aria-disabled={frozen}
          onClick={() => !frozen && freeze()}
        >
          {frozen ? words.frozen : words.freeze(FREEZE_S)}
        </button>
      </Row>
    </section>
  );
}

/** The server's processes. Of several each says whose streams it has: it is the one to kill. */
export function Nodes({ state, demonstrated, control }: OrderedProps): ReactNode {
  const { nodes } = state;
  const isAlone = nodes.length === 1;
  const told = (node: DemoNode) =>
    ({
      running: words.nodeRuns(node.process_id),
      dead: words.nodeDead(null, node.starts_in_s),
      starting: words.nodeStarts,
    })[node.state];
  const order = (node: DemoNode) =>
    control.order("node", { number: node.number, do: node.state === "dead" ? "start" : "kill" });
  const streams = (node: DemoNode) =>
    node.state === "dead" ? "" : words.streams(node.streams.map((user) => nameOf(demonstrated, user)));
  return (
    <section aria-labelledby="demo-nodes">
      <h3 id="demo-nodes">{isAlone ? words.server : words.nodes}</h3>
      {!isAlone && <p className="demo-note demo-nodes-note">{words.explainNodes}</p>}
      {nodes.map((node) => (
        <Row
          key={node.number}
          id={`demo-node-${node.number}`}
          explained={isAlone ? `${words.explainKill} ${told(node)}` : `${told(node)} ${streams(node)}`}
        >
          <button
            type="button"
            className="tidings-button demo-break"
            aria-describedby={`demo-node-${node.number}`}
            onClick={() => order(node)}
          >
            {(node.state === "dead" ? words.start : words.kill)(isAlone ? null : node.number)}
          </button>
        </Row>
      ))}
    </section>
  );
}

export function Traffic({ state, demonstrated, control }: OrderedProps): ReactNode {
  const { userId } = demonstrated;
  const [rate, setRate] = useState(RATES[0] ?? 1);
  const open = useSyncExternalStore(route.subscribe, route.getSnapshot);
  const partner = open !== null && open !== userId ? open : (PARTNERS.find((one) => one !== userId) ?? userId);
  const runs = state.traffic.per_second > 0;
  const [one, other] = runs ? state.traffic.people : [userId, partner];
  const missing = [one, other].find((person) => person !== undefined && !state.open.includes(person));
  const name = (person: string | undefined) => nameOf(demonstrated, person ?? "");
  return (
    <section aria-labelledby="demo-traffic">
      <h3 id="demo-traffic">{words.traffic}</h3>
      <div className="demo-row">
        <p className="demo-note">{words.explainTraffic(name(one), name(other))}</p>
        <div className="demo-row-act">
          <select aria-label={words.rate} value={rate} onChange={(event) => setRate(Number(event.target.value))}>
            {RATES.map((count) => (
              <option key={count} value={count}>
                {words.perSecond(count)}
              </option>
            ))}
          </select>
          <button
            type="button"
            className="tidings-button"
            aria-pressed={runs}
            onClick={() =>
              control.order(
                "traffic",
                runs ? { per_second: 0, people: [] } : { per_second: rate, people: [userId, partner] },
              )
            }
          >
            {runs ? words.stopTraffic(state.traffic.seconds_left) : words.startTraffic}
          </button>
        </div>
        {missing !== undefined && (
          <p className="demo-note">
            {words.noWindow(name(missing))}{" "}
            <a
              href={`${inLanguage({ as: missing })}${hrefOf((missing === one ? other : one) ?? "")}`}
              target="_blank"
              rel="noreferrer"
            >
              {words.openWindow(name(missing))}
            </a>
          </p>
        )}
      </div>
    </section>
  );
}
