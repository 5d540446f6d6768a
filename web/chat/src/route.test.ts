// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from "vitest";
import { hrefOf, openConversation, openList, peerOf, route } from "./route.js";

describe("the address of a conversation", () => {
  it.each(["ben", "50%", "f|x@y:z", "a b", "🦊", "zoë", "#", "?as=ben", "token=x"])(
    "names %s and is read back",
    (id) => {
      expect(hrefOf(id)).toMatch(/^#\/[\w%!~*'().-]+$/);
      expect(peerOf(hrefOf(id))).toBe(id);
    },
  );

  it.each(["", "#", "#/", "#token=x", "#/%E0%A4%A", "#/%"])("is not %j", (hash) => {
    expect(peerOf(hash)).toBeNull();
  });
});

describe("opening a conversation", () => {
  beforeEach(() => history.replaceState(null, "", "#/"));

  it("shows it and leaves a way back", () => {
    const before = history.length;
    openConversation("ben");
    expect(route.getSnapshot()).toBe("ben");
    expect(history.length).toBe(before + 1);
  });

  it("tells those who watch", () => {
    let told = 0;
    const undo = route.subscribe(() => (told += 1));
    openConversation("ben");
    openConversation("ben");
    expect(told).toBe(1);
    undo();
    openConversation("cleo");
    expect(told).toBe(1);
  });

  it("from a link leads to the list without leaving the page", () => {
    history.replaceState(null, "", hrefOf("ben"));
    const before = history.length;
    openList();
    expect(route.getSnapshot()).toBeNull();
    expect(history.length).toBe(before);
  });
});
