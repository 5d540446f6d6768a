import { isTemporary, NO_STREAMS, NOT_YOURS, SIGNED_OUT } from "../src/wire/retry.js";
import type { MachineEvent } from "../src/connection/machine-state.js";
import type { ConnectionStatus } from "../src/types.js";
import { Rig } from "./rig.js";

/** What happened, in the words of `vectors/connection.json`. */
function causeOf(event: MachineEvent): string {
  switch (event.type) {
    case "tick":
      return "time";
    case "stream_requested":
    case "stream_bytes":
      return "bytes";
    case "stream_connected":
      return "connected frame";
    case "stream_heartbeat":
      return event.inStep ? "heartbeat" : "heartbeat out of step";
    case "stream_goodbye":
      return "goodbye";
    case "rejected":
      return "request: 401";
    case SIGNED_OUT:
      return "request: nobody";
    case NOT_YOURS:
      return "request: somebody else";
    case "poll_done":
      return "poll answered";
    case "stream_ended":
    case "poll_failed": {
      const { outcome } = event;
      const what = event.type === "poll_failed" ? "poll" : "stream";
      if (event.reason === SIGNED_OUT) return `${what}: nobody`;
      if (event.reason === NO_STREAMS) return `${what}: no streams`;
      if (outcome.kind !== "status") return `${what} lost`;
      if (outcome.status === 401 || outcome.status === 204) return `${what}: ${outcome.status}`;
      return `${what}: ${isTemporary(outcome.status) ? "temporary" : "terminal"} status`;
    }
    default:
      return event.type;
  }
}

export interface Seen {
  from: ConnectionStatus;
  cause: string;
  to: ConnectionStatus;
}

/** Everything that can happen, in any order: what changed the status, and by what. */
export function walk(runs: number, random: () => number): Seen[] {
  const seen = new Map<string, Seen>();
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const lost = (["network", "timeout", "violation", "end"] as const).map((kind) => ({ kind }));
  const outcomes = [...lost, ...[401, 204, 403, 503].map((status) => ({ kind: "status", status }) as const)];
  for (let run = 0; run < runs; run++) {
    const rig = new Rig({ canRefresh: run % 2 === 0 });
    const send = (event: MachineEvent): void => {
      const from = rig.status;
      rig.send(event);
      if (rig.status === from) return;
      const found = { from, cause: causeOf(event), to: rig.status };
      seen.set(Object.values(found).join("|"), found);
    };
    const rest: number = pick([100, 1000, 10_000]);
    for (let i = 0; i < 80; i++) {
      rig.draw = random();
      const { stream, poll } = rig.state;
      const moves: MachineEvent[] = [
        { type: pick(["connect", "disconnect", "reconnect"]) },
        { type: pick(["online", "offline"]) },
        { type: pick(["visible", "hidden", "frozen", "restored"]) },
      ];
      if (!rig.options.canRefresh) moves.push({ type: "rejected" });
      if (random() < 0.1) moves.push({ type: NOT_YOURS });
      // Such a word ends it: rarely, so that the walk sees what else there is.
      const isNobody = rig.options.canRefresh && random() < 0.05;
      if (isNobody) moves.push({ type: SIGNED_OUT });
      if (stream) {
        const { generation } = stream;
        const isLive = stream.phase === "live";
        const outcome = pick(isLive ? lost : outcomes);
        const none = { kind: "status", status: 503, retry_after_s: 60 } as const;
        const more: MachineEvent[] = [
          isNobody && !isLive
            ? { type: "stream_ended", generation, outcome: { kind: "network" }, reason: SIGNED_OUT }
            : !isLive && random() < 0.1
              ? { type: "stream_ended", generation, outcome: none, reason: NO_STREAMS }
              : { type: "stream_ended", generation, outcome, reason: "r" },
        ];
        if (stream.phase === "preparing") more.push({ type: "stream_requested", generation });
        if (!isLive) more.push({ type: "stream_connected", generation, heartbeatMs: 15_000 });
        else {
          more.push({ type: "stream_heartbeat", generation, inStep: random() < 0.7 });
          more.push({ type: "stream_goodbye", generation, retryMs: 500, reason: "draining" });
        }
        moves.push(...more, ...more);
      }
      if (poll) {
        const { generation } = poll;
        moves.push({ type: "poll_done", generation, more: false }, { type: "poll_done", generation, more: false });
        const failed = { type: "poll_failed", generation, outcome: pick(outcomes), reason: "r" } as const;
        moves.push(isNobody ? { ...failed, outcome: { kind: "network" }, reason: SIGNED_OUT } : failed);
      }
      send(pick(moves));
      // Time passes in ticks of its own, so that nothing that is due is taken for the work of the next event.
      const end = rig.now + random() * rest * (random() < 0.2 ? 10 : 1);
      for (let at = rig.due; at !== null && at <= end; at = rig.due) {
        rig.now = Math.max(rig.now, at);
        send({ type: "tick" });
      }
      rig.now = end;
    }
  }
  return [...seen.values()];
}
