import { expect, it } from "vitest";
import type { Api } from "../src/http/api.js";
import { Listeners } from "../src/listeners.js";
import { Log } from "../src/state/log.js";
import { Receipts } from "../src/state/receipts.js";
import type { Environment } from "../src/types.js";

const RETRY = { base_ms: 1000, cap_ms: 30_000, floor_ms: 250 };

it("a receipt is told though the timer fires a fraction of a millisecond early, as browsers' do", async () => {
  let now = 0.3;
  const timers: { fn: () => void; at: number }[] = [];
  const environment = {
    monotonic: () => now,
    random: () => 0.5,
    setTimer: (fn: () => void, ms: number) => timers.push({ fn, at: now + Math.floor(ms) }),
    clearTimer: () => undefined,
  } as unknown as Environment;
  const told: number[] = [];
  const api = {
    environment,
    retry: RETRY,
    address: () => "",
    post: (_: string, { receipts }: { receipts: { chatUserId: string; read_upto?: number }[] }) => {
      told.push(receipts[0]?.read_upto ?? 0);
      return Promise.resolve({ receipts });
    },
  } as unknown as Api;
  const log = new Log({ userId: null }, new Listeners(), { moved: () => undefined, conversations: new Set() });
  const receipts = new Receipts({ api, log });
  const known = { delivered_upto: 0, read_upto: 0 };
  for (const seq of [1, 2, 3]) {
    receipts.note("ben", { read_upto: seq }, known);
    for (let timer = timers.shift(); timer; timer = timers.shift()) {
      now = Math.max(now, timer.at);
      timer.fn();
      await new Promise((resolve) => setImmediate(resolve));
    }
    now += 0.45;
  }
  expect(told).toEqual([1, 2, 3]);
});
