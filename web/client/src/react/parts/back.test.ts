// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { closesOnBack, closeTopmost, isOwnStep, watchesBack } from "./back.js";

/** The history of a window as a browser keeps it: what goes back does so a moment later. */
class Entries {
  entries: unknown[] = [{ page: 1 }];
  index = 0;
  /** Of frames in the page. */
  others = 0;
  get state(): unknown {
    return this.entries[this.index];
  }
  get length(): number {
    return this.entries.length + this.others;
  }
  pushState(state: unknown): void {
    this.entries.splice(++this.index, Infinity, structuredClone(state));
  }
  go(by: number): void {
    setTimeout(() => this.step(by));
  }
  step(by: number): PopStateEvent {
    this.index += by;
    const event = new PopStateEvent("popstate", { state: this.state });
    window.dispatchEvent(event);
    return event;
  }
}

let entries: Entries;
let undo: (() => void)[];
const closed: string[] = [];
const passes = (): Promise<unknown> => vi.advanceTimersByTimeAsync(2000);
const opens = (name: string): (() => void) => {
  const close = closesOnBack(() => closed.push(name));
  undo.push(close);
  return close;
};

beforeEach(() => {
  vi.useFakeTimers();
  entries = new Entries();
  vi.stubGlobal("history", entries);
  closed.length = 0;
  undo = [watchesBack()];
});

afterEach(async () => {
  undo.forEach((each) => each());
  await passes();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

it("Back closes the topmost layer, in an entry with the page's own state, and the page hears whose step it was", async () => {
  opens("panel");
  opens("conversation");
  await passes();
  expect(entries.entries).toEqual([{ page: 1 }, { page: 1, tidingsDepth: 1 }, { page: 1, tidingsDepth: 2 }]);
  expect(isOwnStep(entries.step(-1))).toBe(true);
  expect(closed).toEqual(["conversation"]);
  entries.step(-1);
  expect(closed).toEqual(["conversation", "panel"]);
  expect(isOwnStep(new PopStateEvent("popstate", { state: null }))).toBe(false);
});

it("over several entries at once it closes all, the topmost first", async () => {
  opens("panel");
  opens("conversation");
  await passes();
  entries.step(-2);
  expect(closed).toEqual(["conversation", "panel"]);
});

it("a layer that closes takes its entry away; one in the place of another, or mounted twice, takes no step", async () => {
  const steps = vi.spyOn(entries, "go");
  opens("strict")();
  const picker = opens("picker");
  await passes();
  picker();
  const conversation = opens("conversation");
  await passes();
  expect([entries.index, steps.mock.calls]).toEqual([1, []]);
  expect(closeTopmost()).toBe(true);
  conversation();
  await passes();
  expect([entries.index, steps.mock.calls, closed]).toEqual([0, [[-1]], ["conversation"]]);
  expect(closeTopmost()).toBe(false);
});

it("an entry that was left is stepped over, and one that is opened while it goes back has an entry of its own", async () => {
  const panel = opens("panel");
  await passes();
  panel();
  await Promise.resolve();
  opens("again");
  await passes();
  expect([entries.index, entries.state]).toEqual([1, { page: 1, tidingsDepth: 1 }]);
  entries.step(-1);
  entries.step(1); // Forward
  await passes();
  expect([entries.index, closed]).toEqual([0, ["again"]]);
});

it("where the page goes on while it goes back, the page's entry is come to again", async () => {
  const panel = opens("panel");
  await passes();
  panel();
  await Promise.resolve();
  await Promise.resolve();
  entries.pushState({ page: 2 });
  await passes();
  expect([entries.index, entries.state]).toEqual([2, { page: 2 }]);
  entries.step(-1); // to the one that was left
  await passes();
  expect(entries.state).toEqual({ page: 1 });
});

it("touches nothing where a frame in the page has added an entry, or where the state has no place for a mark", async () => {
  const panel = opens("panel");
  await passes();
  entries.others += 1;
  panel();
  await passes();
  expect(entries.index).toBe(1);
  entries = new Entries();
  entries.entries = [["a", "list"]];
  vi.stubGlobal("history", entries);
  opens("panel");
  await passes();
  expect(entries.entries).toEqual([["a", "list"]]);
});

it("adds nothing in a page that stands in a frame: Back is that of the page around it", async () => {
  vi.stubGlobal("parent", {});
  opens("panel");
  await passes();
  expect(entries.entries).toHaveLength(1);
});
