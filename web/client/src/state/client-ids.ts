import type { Environment } from "../types.js";

/** Names for sends: a moment, and an id that sorts by it, so that what is queued in one millisecond keeps its order in storage. */
export function clientIds({ now, randomBytes }: Pick<Environment, "now" | "randomBytes">) {
  let last = 0;
  let count = 0;
  return (): { id: string; at: number } => {
    const at = Math.max(now(), last);
    count = at === last ? count + 1 : 0;
    last = at;
    const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
    const random = Array.from(randomBytes(8), (byte) => hex(byte, 2)).join("");
    return { id: hex(at, 12) + hex(count, 4).slice(-4) + random, at };
  };
}
