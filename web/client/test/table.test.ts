import { describe, expect, it } from "vitest";
import { walk } from "./causes.js";
import { seeded } from "./ledger.js";
import { readVectors } from "./vectors.js";

interface Table {
  names: Record<string, string>;
  states: { name: string; means: string }[];
  rows: { from: string[]; causes: string[]; to: string; why: string }[];
}

const table = readVectors<Table>("connection");
const named = (status: string) => table.names[status] ?? status;

describe("the table of the connection's states", () => {
  it("has every change of state that the machine makes, whatever happens, and no other", () => {
    const made = walk(4000, seeded(5))
      .map(({ from, cause, to }) => [named(from), cause, named(to)] as const)
      .filter(([from, , to]) => from !== to)
      .map((change) => change.join(" | "));
    const written = table.rows.flatMap(({ from, causes, to }) =>
      from.flatMap((each) => causes.map((cause) => [each, cause, to].join(" | "))),
    );
    expect([...new Set(made)].sort()).toEqual([...written].sort());
    expect(new Set(written).size).toBe(written.length);
  });

  it("names every state once", () => {
    const states = table.states.map(({ name }) => name);
    expect(new Set(table.rows.flatMap(({ from, to }) => [...from, to]))).toEqual(new Set(states));
    expect(new Set(states).size).toBe(states.length);
  });
});
