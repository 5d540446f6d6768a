import { describe, expect, it } from "vitest";
import { deadline, type Effect, type MachineEvent } from "../src/connection/machine-state.js";
import { Rig } from "./rig.js";
import { readVectors } from "./vectors.js";

interface Step {
  at: number;
  happens: string;
  after: string[];
  shows: string;
}

const { cases } = readVectors<{ cases: { name: string; steps: Step[] }[] }>("polling");
const { names } = readVectors<{ names: Record<string, string> }>("connection");

/** What happens, of the stream and the poll that were opened last. */
function eventOf(what: string, stream: number, poll: number): MachineEvent {
  const [word = "", wait = "", more] = what.split(" ");
  if (word === "connect") return { type: "connect" };
  if (word === "time") return { type: "tick" };
  if (word === "bytes") return { type: "stream_bytes", generation: stream };
  if (word === "goodbye")
    return { type: "stream_goodbye", generation: stream, retryMs: Number(wait), reason: "draining" };
  if (what === "connected frame") return { type: "stream_connected", generation: stream, heartbeatMs: 15_000 };
  if (what === "stream requested") return { type: "stream_requested", generation: stream };
  if (what === "no streams") {
    const refused = { kind: "status", status: 503, retry_after_s: 60 } as const;
    return { type: "stream_ended", generation: stream, outcome: refused, reason: "no_streams" };
  }
  const outcome = { kind: "network" } as const;
  if (what === "stream lost") return { type: "stream_ended", generation: stream, outcome, reason: "network" };
  if (what === "poll lost") return { type: "poll_failed", generation: poll, outcome, reason: "network" };
  if (what.startsWith("poll answered")) return { type: "poll_done", generation: poll, more: more !== undefined };
  throw new Error(what);
}

function asked(effect: Effect): string[] {
  switch (effect.type) {
    case "open_stream":
      return ["open"];
    case "poll":
      return ["poll"];
    case "abort_stream":
    case "abort_poll":
      return [effect.type.replace("_", " ")];
    case "reconnecting":
      return [`wait ${effect.delayMs}`];
    default:
      return [];
  }
}

describe("polling, and the way back to a stream", () => {
  it.each(cases)("$name", ({ steps }) => {
    const rig = new Rig();
    const start = rig.now;
    let stream = 0;
    let poll = 0;
    for (const step of steps) {
      const due = deadline(rig.state);
      if (step.happens === "time" && step.after.length > 0) expect(due).toBe(start + step.at);
      rig.now = start + step.at;
      rig.effects.length = 0;
      rig.send(eventOf(step.happens, stream, poll));
      expect(rig.effects.flatMap(asked), JSON.stringify(step)).toEqual(step.after);
      for (const effect of rig.effects) {
        if (effect.type === "open_stream") stream = effect.generation;
        if (effect.type === "poll") poll = effect.generation;
      }
      expect(names[rig.status] ?? rig.status, JSON.stringify(step)).toBe(step.shows);
    }
  });
});
