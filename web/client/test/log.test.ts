import { describe, expect, it, vi } from "vitest";
import { Listeners } from "../src/listeners.js";
import { applyEvent, applyNewest, emptyConversation, type ConversationState } from "../src/state/conversation.js";
import { Log, type Fold, type Happening } from "../src/state/log.js";
import type { Frame } from "../src/wire/shapes.js";
import { cursorAt, Ledger, seeded } from "./ledger.js";

/** A log of ada's with one fold, which keeps what it is told. */
function begun(at: string | null = cursorAt(0)) {
  const listeners = new Listeners();
  const moves: (string | null)[] = [];
  const told: Happening[] = [];
  const rebased: string[] = [];
  const log: Log = new Log({ userId: "ada" }, listeners, {
    moved: () => moves.push(log.cursor),
    conversations: new Set<string>(),
  });
  const fold: Fold = {
    apply: (happening) => void told.push(happening),
    rebase: (base, why) => void rebased.push(`${why} ${base}`),
  };
  log.join(fold);
  if (at !== null) log.begin(at, "begin");
  return { log, listeners, moves, told, rebased };
}

const frames = (told: readonly Happening[]) => told.map((of) => ("frame" in of ? of.frame.id : null));

describe("the log", () => {
  it.each(Array.from({ length: 20 }, (_, seed) => seed + 1))(
    "applies each event once and in order, whatever is lost, doubled or late on the way (seed %i)",
    (seed) => {
      /** I4; what is missing is read again from the cursor, as the connection does. */
      const random = seeded(seed);
      const ledger = new Ledger(random).write(60);
      const { log, told } = begun();
      const position = () => Number(log.cursor?.split("-")[1]);
      while (position() < ledger.head) {
        const from = Math.max(0, position() - Math.floor(random() * 4));
        for (const frame of ledger.events.slice(from)) {
          if (random() < 0.2) continue;
          const before = log.cursor;
          const how = log.apply(frame);
          if (how !== "applied") expect(log.cursor).toBe(before);
          if (how === "gap") break;
          if (random() < 0.2) expect(log.apply(frame)).toBe("old");
        }
      }
      expect(frames(told)).toEqual(ledger.events.map(({ id }) => id));
    },
  );

  it.each(Array.from({ length: 20 }, (_, seed) => seed + 1))(
    "makes of a snapshot and the events after it the snapshot at its head (seed %i)",
    (seed) => {
      /** I4: from whichever position the snapshot was read at, before or after the first event was applied. */
      const random = seeded(seed);
      const ledger = new Ledger(random).write(60);
      const { log } = begun(null);
      const at = Math.floor(random() * ledger.head);
      let state: ConversationState = emptyConversation("bob");
      log.join({
        apply: (of) => {
          if (of.type === "new_message" || of.type === "message_delivered" || of.type === "message_read") {
            state = applyEvent(state, of);
          }
        },
        rebase: () => undefined,
      });
      log.readAt(cursorAt(at));
      expect(log.isMissed(cursorAt(at))).toBe(false);
      const late = at + Math.floor(random() * (ledger.head - at));
      ledger.events.slice(at).forEach((frame, index) => {
        if (at + index === late) state = applyNewest(state, ledger.page(late));
        log.apply(frame);
      });
      const head = applyNewest(emptyConversation("bob"), ledger.page(ledger.head));
      expect(state.messages).toEqual(head.messages);
      expect(state.watermarks).toEqual(head.watermarks);
    },
  );

  it("moves its cursor over an event that nobody knows, which listeners get, and over one that nobody can read", () => {
    const { log, listeners, moves, told } = begun();
    const heard: unknown[] = [];
    for (const name of ["message_painted", "new_message", "message"]) listeners.on(name, (data) => heard.push(data));
    const reported = vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect(log.apply({ id: cursorAt(1), type: "message_painted", data: { colour: "red" } })).toBe("applied");
    expect(log.apply({ id: cursorAt(2), type: "new_message", data: { text: "and nothing else" } })).toBe("applied");
    expect(reported).toHaveBeenCalledTimes(1);
    reported.mockRestore();
    expect(moves.at(-1)).toBe(cursorAt(2));
    expect(heard).toEqual([{ colour: "red" }]);
    expect(told.map(({ type }) => type)).toEqual(["other"]);
  });

  it("applies a hint, which is in no log, and moves nothing for it", () => {
    const { log, told } = begun();
    expect(log.apply({ id: null, type: "typing", data: { chat_user_id: "bob" } })).toBe("applied");
    expect(told).toMatchObject([{ type: "typing", peerId: "bob" }]);
    expect(log.cursor).toBe(cursorAt(0));
  });

  it("has folds load again what was read before events came without a hole, and all of it after a reset", () => {
    const { log, rebased } = begun(null);
    log.readAt(cursorAt(3));
    expect(log.cursor).toBe(cursorAt(3));
    log.readAt(cursorAt(2));
    expect(log.cursor).toBe(cursorAt(3));
    expect(log.isMissed(cursorAt(2))).toBe(true);
    log.begin(cursorAt(3), "begin");
    expect(rebased).toEqual([]);
    log.begin(cursorAt(5), "begin");
    log.begin(cursorAt(1, "f"), "reset");
    expect(rebased).toEqual([`begin ${cursorAt(5)}`, `reset ${cursorAt(1, "f")}`]);
    expect(log.cursor).toBe(cursorAt(1, "f"));
  });

  it("leaves nothing of an event to a user that a listener puts in place of the one before", () => {
    const { log, listeners } = begun();
    const late = vi.fn();
    log.join({ apply: () => log.forget(), rebase: () => undefined });
    log.join({ apply: late, rebase: () => undefined });
    listeners.on("message", late);
    const frame: Frame = new Ledger(seeded(1)).next();
    log.apply(frame);
    expect(late).not.toHaveBeenCalled();
    expect(log.cursor).toBeNull();
  });
});
