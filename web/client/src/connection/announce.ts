import type { Listeners } from "../listeners.js";
import type { Effect } from "./machine-state.js";

/** Tell the application what has become of the connection; `connected` is what the stream said of itself. */
export function announce(
  listeners: Listeners,
  effect: Exclude<Effect, { generation: number }>,
  userId: string | null,
  connected: unknown,
): void {
  switch (effect.type) {
    case "connected":
      return listeners.emit("connected", { ...(typeof connected === "object" ? connected : {}), userId });
    case "reachable":
      return;
    case "reconnecting": {
      const { attempt, delayMs, reason } = effect;
      return listeners.emit("reconnecting", { attempt, delay_ms: Math.round(delayMs), reason });
    }
    case "connection_failed":
      listeners.emit("connection_failed", { message: effect.message, polling: effect.polling });
      return listeners.notify("connection_failed", effect.message);
    case "unauthorized":
      return listeners.notify("unauthorized", "Nobody is signed in, or the server does not accept who is");
  }
}
