import { describe, expect, it } from "vitest";
import { nameInSentence } from "./name-in-sentence.js";

describe("a name in a sentence", () => {
  it.each(["Ben", "Chloé", "李四", "👩🏽‍🚀", "", "O'Brien (work) 2", "دانا", "דנה 7"])("stays as it is: %s", (name) => {
    expect(nameInSentence(name)).toBe(name);
  });

  it.each(["\u200fBen", "Ben\u061c!"])("is isolated where a mark pulls what stands beside it: %j", (name) => {
    expect(nameInSentence(name)).toBe(`\u2068${name}\u2069`);
  });

  it.each([
    ["\u202enimda", "nimda"],
    ["a\u2069\u202eb", "ab"],
    ["\u2066\u2067\u2068open", "open"],
    ["\u202ax\u202c", "x"],
  ])("loses what would turn around what follows: %j", (name, left) => {
    expect(nameInSentence(name)).toBe(`\u2068${left}\u2069`);
  });
});
