import { describe, expect, it } from "vitest";
import { normalUserId, userIdProblem } from "./user-id.js";
import { english } from "../words/en.js";

describe("a typed user id", () => {
  it.each(["ben", "a b", "50%", "f|x@y:z", "🦊", "send", "x".repeat(128), "🦊".repeat(128)])("may be %s", (id) => {
    expect(userIdProblem(id, "ada", english.userId)).toBeNull();
  });

  it.each(["", "x".repeat(129), "a/b", "a\\b", ".", "..", "me", "a\u0000", "a\nb", "ada"])("may not be %j", (id) => {
    expect(userIdProblem(id, "ada", english.userId)).toEqual(expect.any(String));
  });

  it("is composed and without surrounding blanks", () => {
    expect(normalUserId("  zoe\u0308 ")).toBe("zo\u00eb");
  });
});
