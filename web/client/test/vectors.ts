import { readFileSync } from "node:fs";

/** The cases of `vectors/<name>.json`, which the Python tests read too. */
export function readVectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../vectors/${name}.json`, import.meta.url), "utf-8")) as T;
}
