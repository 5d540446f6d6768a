import fc from "fast-check";
import { expect, it } from "vitest";
import { utf8Bytes } from "./text-size.js";

it("counts what an encoder would write, for every text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      expect(utf8Bytes(text)).toBe(new TextEncoder().encode(text).length);
    }),
  );
  expect(utf8Bytes("aé水🌊")).toBe(1 + 2 + 3 + 4);
});
