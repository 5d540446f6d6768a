import { describe, expect, it } from "vitest";
import { nextAttempt, type NextAttempt, type Outcome, type RetryOptions } from "../src/wire/retry.js";
import { readVectors } from "./vectors.js";

interface Case {
  name: string;
  failures: number;
  outcome: Outcome & { stable?: boolean };
  random: number;
  expect: NextAttempt;
}

const { options, cases } = readVectors<{ options: RetryOptions; cases: Case[] }>("retry");

describe("the reconnect policy", () => {
  it.each(cases)("$name", (given) => {
    const next = nextAttempt(given.failures, given.outcome, given.random, options);
    expect({ ...next, wait_ms: 0 }).toEqual({ ...given.expect, wait_ms: 0 });
    expect(next.wait_ms).toBeCloseTo(given.expect.wait_ms, 6);
  });
});
