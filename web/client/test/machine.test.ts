import { describe, expect, it } from "vitest";
import {
  HIDDEN_DROP_AFTER_MS,
  MUTE_AFTER_MS,
  POLL_AFTER_MS,
  PROBE_INTERVAL_MS,
} from "../src/connection/machine-state.js";
import { Rig, stable } from "./rig.js";

const SILENCE_MS = 2 * 15_000 + 5000;
const status = (code: number, retry_after_s?: number) => ({ kind: "status", status: code, retry_after_s }) as const;

describe("connecting", () => {
  it("does nothing before connect", () => {
    const rig = new Rig()
      .send({ type: "online" })
      .send({ type: "visible" })
      .send({ type: "reconnect" })
      .advance(60_000);
    expect(rig.status).toBe("idle");
    expect(rig.effects).toEqual([]);
  });

  it("opens one stream at once and is connecting", () => {
    const rig = new Rig().send({ type: "connect" });
    expect(rig.drain()).toEqual(["open_stream"]);
    expect(rig.status).toBe("connecting");
  });

  it("is connected only after the connected frame", () => {
    const rig = new Rig().send({ type: "connect" }).requested().bytes();
    expect(rig.status).toBe("connecting");
    rig.connected();
    expect(rig.status).toBe("connected");
    expect(rig.all("connected")).toHaveLength(1);
  });

  it("connecting twice opens one stream", () => {
    const rig = new Rig().send({ type: "connect" }).send({ type: "connect" }).connected().send({ type: "connect" });
    expect(rig.all("open_stream")).toHaveLength(1);
  });

  it("reports of a replaced stream are ignored", () => {
    const rig = new Rig().send({ type: "connect" }).requested();
    const old = rig.generation;
    rig.ended({ kind: "network" }).advance(1000).requested();
    const before = rig.state;
    for (const event of [
      { type: "stream_bytes", generation: old },
      { type: "stream_connected", generation: old, heartbeatMs: 1 },
      { type: "stream_heartbeat", generation: old, inStep: false },
      { type: "stream_goodbye", generation: old, retryMs: 1, reason: "draining" },
      { type: "stream_ended", generation: old, outcome: { kind: "network" }, reason: "late" },
    ] as const) {
      rig.send(event);
    }
    expect(rig.state).toEqual(before);
  });

  it("disconnect cancels a pending retry, and connect begins again", () => {
    const rig = new Rig().send({ type: "connect" }).fails().send({ type: "disconnect" });
    rig.drain();
    rig.advance(600_000);
    expect(rig.status).toBe("closed");
    expect(rig.effects).toEqual([]);
    rig.send({ type: "connect" });
    expect(rig.drain()).toEqual(["open_stream"]);
  });

  it("disconnect aborts the stream that is open", () => {
    const rig = stable().send({ type: "disconnect" });
    expect(rig.all("abort_stream")).toHaveLength(1);
    expect(rig.status).toBe("closed");
  });
});

describe("trying again", () => {
  // shows: behaviour/cut
  it("the backoff grows over its own retries", () => {
    const rig = new Rig().send({ type: "connect" });
    const waits = [0, 1, 2, 3].map(() => rig.fails().wait);
    expect(waits).toEqual([500, 1000, 2000, 4000]);
    expect(rig.status).toBe("reconnecting");
  });

  it("a stream that opens and is cut at once does not reset the backoff", () => {
    const rig = new Rig().send({ type: "connect" }).fails(3);
    rig
      .advance(rig.wait ?? 0)
      .connected()
      .ended({ kind: "network" });
    expect(rig.state.failures).toBe(4);
  });

  it("ten seconds without a heartbeat are not stable, nor a heartbeat before ten seconds", () => {
    const rig = new Rig().send({ type: "connect" }).fails(2);
    rig.advance(2000).connected(60_000).advance(11_000).bytes();
    expect(rig.state.failures).toBe(2);
    const early = new Rig().send({ type: "connect" }).fails(2);
    early.advance(2000).connected(2000).advance(5000).heartbeat();
    expect(early.state.failures).toBe(2);
    early.advance(5000).heartbeat();
    expect(early.state.failures).toBe(0);
  });

  it("a busy stream becomes stable without heartbeats", () => {
    const rig = new Rig().send({ type: "connect" }).fails(2);
    rig.advance(2000).connected();
    for (let i = 0; i < 16; i++) rig.advance(1000).bytes();
    expect(rig.state.failures).toBe(0);
  });

  it("never gives up, and says connection_failed once", () => {
    const rig = new Rig({ maxReconnectAttempts: 3 }).send({ type: "connect" }).fails(50);
    expect(rig.all("connection_failed")).toHaveLength(1);
    expect(rig.all("open_stream")).toHaveLength(50);
    expect(rig.wait).not.toBeNull();
  });

  it("connection_failed comes again after a stable stream in between", () => {
    const rig = new Rig({ maxReconnectAttempts: 2 }).send({ type: "connect" }).fails(3);
    rig
      .advance(rig.wait ?? 0)
      .connected()
      .advance(15_000)
      .heartbeat();
    rig.ended({ kind: "network" }).fails(3);
    expect(rig.all("connection_failed")).toHaveLength(2);
  });

  it("two draws give two waits", () => {
    const waits = [0.3, 0.9].map((draw) => {
      const rig = new Rig().send({ type: "connect" }).fails(3);
      rig.advance(rig.wait ?? 0);
      rig.draw = draw;
      return rig.fails().wait;
    });
    expect(waits[0]).not.toBe(waits[1]);
  });

  // shows: behaviour/deploy
  it("goodbye waits exactly what it says", () => {
    const rig = stable().goodbye("draining", 3210);
    expect(rig.wait).toBe(3210);
    expect(rig.all("reconnecting").at(-1)).toMatchObject({ delayMs: 3210, reason: "draining" });
  });

  it("goodbye replaced waits its time while polls go on, so that tabs do not fight", () => {
    const rig = stable().goodbye("replaced", 45_000);
    rig.advance(POLL_AFTER_MS).pollDone();
    expect(rig.status).toBe("polling");
    // An answered poll brings an attempt forward, but not one that the server put off.
    expect(rig.all("open_stream")).toHaveLength(1);
    expect(rig.wait).toBe(35_000);
  });

  // shows: behaviour/token-expires
  it("goodbye token_expired asks for a new token", () => {
    const rig = stable().goodbye("token_expired", 800).advance(800);
    expect(rig.all("open_stream").at(-1)?.token).toBe("expired");
  });

  it("a clean end without goodbye spreads over five seconds", () => {
    expect(stable().ended({ kind: "end" }).wait).toBe(2500);
  });

  it("an end before the connected frame is a failure of the network", () => {
    const rig = new Rig().send({ type: "connect" }).requested().ended({ kind: "end" });
    expect(rig.wait).toBe(500);
    expect(rig.state.failures).toBe(1);
  });

  // shows: behaviour/overload
  it("Retry-After is a floor with a little on top", () => {
    const rig = new Rig().send({ type: "connect" }).requested().ended(status(503, 20));
    expect(rig.wait).toBe(22_000);
  });
});

describe("watching", () => {
  // shows: behaviour/silent
  it("silence of two heartbeats and five seconds ends a stream", () => {
    const rig = stable().advance(SILENCE_MS - 1);
    expect(rig.status).toBe("connected");
    rig.advance(1);
    expect(rig.status).toBe("reconnecting");
    expect(rig.state.reason).toBe("silent");
  });

  it("any byte counts", () => {
    const rig = stable();
    for (let i = 0; i < 5; i++) rig.advance(SILENCE_MS - 1).bytes();
    expect(rig.status).toBe("connected");
  });

  // shows: behaviour/sleep
  it("the clock decides, not the timer: a late wake finds a dead stream", () => {
    const rig = stable();
    rig.now += 3_600_000;
    rig.send({ type: "visible" });
    expect(rig.status).toBe("reconnecting");
    expect(rig.drain().slice(-1)).toEqual(["open_stream"]);
  });

  it("a page that becomes visible doubts a stream whose heartbeat is overdue", () => {
    const rig = stable().send({ type: "hidden" }).advance(18_600).send({ type: "visible" });
    expect(rig.all("open_stream")).toHaveLength(2);
  });

  it("a page that becomes visible leaves a healthy stream alone", () => {
    const rig = stable().send({ type: "hidden" }).advance(10_000).send({ type: "visible" });
    expect(rig.all("open_stream")).toHaveLength(1);
  });

  it("a heartbeat that stands elsewhere makes it reconnect", () => {
    const rig = stable().heartbeat(false);
    expect(rig.state.reason).toBe("out_of_step");
    expect(rig.wait).toBe(500);
  });
});

describe("polling", () => {
  it("begins when there was no live stream for ten seconds", () => {
    const rig = new Rig().send({ type: "connect" }).connected().ended({ kind: "network" });
    rig.draw = 0.999;
    while (rig.now < 1_000_000 + POLL_AFTER_MS - 1) {
      if (rig.state.stream) rig.requested().ended({ kind: "network" });
      rig.advance(1);
    }
    expect(rig.all("poll")).toHaveLength(0);
    rig.advance(1);
    expect(rig.all("poll")).toHaveLength(1);
  });

  // shows: behaviour/held-back
  it("begins at once when a stream stays mute for eight seconds", () => {
    const rig = new Rig().send({ type: "connect" }).requested().bytes().advance(MUTE_AFTER_MS);
    expect(rig.drain()).toEqual(["open_stream", "abort_stream", "reconnecting", "poll"]);
    rig.pollDone();
    expect(rig.status).toBe("polling");
    expect(rig.state.reason).toBe("mute");
  });

  it("goes on every interval, one poll at a time", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS);
    rig.advance(20_000);
    expect(rig.all("poll")).toHaveLength(1);
    rig.pollDone().advance(4999);
    expect(rig.all("poll")).toHaveLength(1);
    rig.advance(1);
    expect(rig.all("poll")).toHaveLength(2);
  });

  it("asks again at once when there is more", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS).pollDone(true);
    expect(rig.all("poll")).toHaveLength(2);
  });

  it("probes the stream every 30 s, give or take a fifth", () => {
    for (const [draw, factor] of [
      [0, 0.8],
      [0.5, 1],
      [0.999, 1.1996],
    ] as const) {
      const rig = new Rig().send({ type: "connect" }).requested();
      rig.draw = draw;
      rig.advance(MUTE_AFTER_MS);
      expect(rig.wait).toBeCloseTo(PROBE_INTERVAL_MS * factor, 3);
    }
  });

  it("returns make-before-break: polls until the connected frame of the new stream, then stops", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS).pollDone();
    while (!rig.state.stream) {
      rig.advance(1000);
      if (rig.state.poll) rig.pollDone();
    }
    rig.requested().advance(5000);
    expect(rig.state.poll).not.toBeNull();
    rig.drain();
    rig.connected();
    expect(rig.drain()).toEqual(["abort_poll", "connected"]);
    rig.advance(20_000);
    expect(rig.all("poll")).toEqual([]);
    expect(rig.status).toBe("connected");
  });

  it("a stream that is lost after a return polls again only after ten seconds", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS).pollDone();
    rig.advance(PROBE_INTERVAL_MS);
    while (!rig.state.stream) rig.advance(1000);
    rig.connected().ended({ kind: "network" });
    expect(rig.state.polling).toBe(false);
    expect(rig.status).toBe("reconnecting");
  });

  it("tries the stream soon after the server is back", () => {
    const rig = new Rig().send({ type: "connect" }).fails(5);
    while (!rig.state.poll) rig.advance(100);
    rig.draw = 0.5;
    if (rig.state.stream) rig.requested().ended({ kind: "network" });
    rig.pollFails();
    rig.advance(20_000);
    if (rig.state.stream) rig.requested().ended({ kind: "network" });
    expect(rig.wait).toBeGreaterThan(1000);
    rig.pollDone();
    expect(rig.wait).toBeLessThanOrEqual(1000);
  });

  it("a stall of everything is no mute stream: the first answered poll hurries the next attempt", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS);
    rig.pollFails({ kind: "timeout" }).advance(5000).pollDone();
    expect(rig.wait).toBeLessThanOrEqual(1000);
  });

  it("a stream that is mute while polls are answered waits for its probe", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS).pollDone();
    expect(rig.wait).toBe(PROBE_INTERVAL_MS);
  });

  it("does not claim to poll while polls fail", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS).pollFails();
    expect(rig.status).toBe("reconnecting");
  });

  it("failing polls back off", () => {
    const rig = new Rig().send({ type: "connect" }).requested().advance(MUTE_AFTER_MS);
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      rig.pollFails();
      waits.push((rig.state.pollAt ?? 0) - rig.now);
      while (!rig.state.poll) {
        if (rig.state.stream) rig.requested().ended({ kind: "network" });
        rig.advance(100);
      }
    }
    expect(waits).toEqual([5000, 5000, 5000, 5000, 8000, 15_000]);
  });
});

describe("the page", () => {
  // shows: behaviour/offline
  it("going offline drops the stream, and one attempt finds out whether that is true", () => {
    const rig = stable().send({ type: "offline" });
    expect(rig.status).toBe("offline");
    expect(rig.all("abort_stream")).toHaveLength(1);
    rig.advance(500).connected();
    expect(rig.status).toBe("connected");
  });

  it("offline neither polls nor hurries", () => {
    const rig = stable().send({ type: "offline" }).advance(500).requested().ended({ kind: "network" });
    expect(rig.wait).toBe(PROBE_INTERVAL_MS);
    rig.advance(29_000);
    expect(rig.all("poll")).toHaveLength(0);
    expect(rig.status).toBe("offline");
  });

  // shows: behaviour/online
  it("online tries at once, and leaves an attempt that went out through the old network", () => {
    const rig = stable().send({ type: "offline" }).advance(500).requested();
    const old = rig.generation;
    rig.send({ type: "online" });
    expect(rig.all("abort_stream").at(-1)?.generation).toBe(old);
    expect(rig.generation).toBeGreaterThan(old);
  });

  // shows: behaviour/online
  it("skips the wait at most once a second, and keeps the backoff", () => {
    const rig = new Rig().send({ type: "connect" }).fails(4);
    for (let i = 0; i < 20; i++) {
      rig.send({ type: "reconnect" });
      if (rig.state.stream) rig.requested().ended({ kind: "network" });
      rig.now += 100;
    }
    // 2 s of hammering: at once, after one second, and no more.
    expect(rig.all("open_stream").length).toBeLessThanOrEqual(4 + 3);
    expect(rig.state.failures).toBeGreaterThanOrEqual(6);
  });

  it("reconnect opens a new stream where one is live", () => {
    const rig = stable().send({ type: "reconnect" });
    expect(rig.all("abort_stream")).toHaveLength(1);
    expect(rig.all("open_stream")).toHaveLength(2);
  });

  it("a page hidden for thirty seconds gives its stream back and looks in every thirty seconds", () => {
    const rig = stable().send({ type: "hidden" });
    rig.advance(15_000).heartbeat();
    rig.advance(HIDDEN_DROP_AFTER_MS - 15_000);
    expect(rig.state.stream).toBeNull();
    expect(rig.status).toBe("polling");
    expect(rig.state.reason).toBe("hidden");
    rig.advance(30_000).pollDone().advance(30_000);
    expect(rig.all("poll")).toHaveLength(2);
    expect(rig.all("open_stream")).toHaveLength(1);
    expect(rig.all("reconnecting")).toEqual([]);
    rig.send({ type: "visible" });
    expect(rig.all("open_stream")).toHaveLength(2);
    rig.connected();
    expect(rig.status).toBe("connected");
  });

  it("a hidden tab leaves no retry behind that runs on (pain 5)", () => {
    const rig = new Rig().send({ type: "connect" }).fails(3).send({ type: "hidden" });
    while (!rig.state.resting) {
      if (rig.state.stream) rig.requested().ended({ kind: "network" });
      if (rig.state.poll) rig.pollFails();
      rig.advance(1000);
    }
    const opened = rig.all("open_stream").length;
    for (let i = 0; i < 100; i++) {
      if (rig.state.poll) rig.pollFails();
      rig.advance(1000);
    }
    expect(rig.all("open_stream")).toHaveLength(opened);
  });

  it("a retry that was due and a visible tab make one stream", () => {
    const rig = new Rig().send({ type: "connect" }).fails().send({ type: "hidden" });
    rig.send({ type: "visible" }).advance(5000);
    expect(rig.all("open_stream")).toHaveLength(2);
  });

  it("a frozen page does nothing; restored, it goes on at once", () => {
    const rig = stable().send({ type: "frozen" });
    rig.drain();
    rig.advance(3_600_000);
    expect(rig.effects).toEqual([]);
    rig.send({ type: "restored" });
    expect(rig.drain()).toEqual(["open_stream"]);
  });
});

describe("refusals", () => {
  it("a 401 asks for one new token at once, then is unauthorized and backs off", () => {
    const rig = new Rig().send({ type: "connect" }).requested().ended(status(401));
    expect(rig.all("open_stream").at(-1)?.token).toBe("rejected");
    expect(rig.status).toBe("connecting");
    rig.requested().ended(status(401));
    expect(rig.status).toBe("unauthorized");
    expect(rig.all("unauthorized")).toHaveLength(1);
    expect(rig.wait).toBe(500);
    rig.advance(500).requested().ended(status(401));
    expect(rig.all("open_stream").at(-1)?.token).toBe("rejected");
    expect(rig.all("unauthorized")).toHaveLength(1);
    expect(rig.wait).toBe(1000);
  });

  it("each stream may refresh once: an accepted token and a later 401 refresh again", () => {
    const rig = new Rig().send({ type: "connect" }).requested().ended(status(401)).connected();
    expect(rig.status).toBe("connected");
    rig.ended({ kind: "network" }).advance(500).requested().ended(status(401));
    expect(rig.status).not.toBe("unauthorized");
    expect(rig.all("open_stream").at(-1)?.token).toBe("rejected");
  });

  it("without getToken a 401 is unauthorized at once", () => {
    const rig = new Rig({ canRefresh: false }).send({ type: "connect" }).requested().ended(status(401));
    expect(rig.status).toBe("unauthorized");
    expect(rig.wait).toBe(500);
  });

  it("a request that is refused closes the live stream and backs off, and says so once", () => {
    const rig = stable({ canRefresh: false }).send({ type: "rejected" });
    expect(rig.drain()).toEqual(["open_stream", "connected", "abort_stream", "unauthorized", "reconnecting"]);
    expect(rig.status).toBe("unauthorized");
    expect(rig.send({ type: "rejected" }).drain()).toEqual([]);
    rig.advance(1000).connected();
    expect(rig.status).toBe("connected");
  });

  it("a request that is refused while nothing is connected changes nothing", () => {
    for (const rig of [new Rig(), new Rig().send({ type: "connect" }).send({ type: "disconnect" })]) {
      const { state } = rig;
      expect(rig.send({ type: "rejected" }).state).toEqual(state);
    }
  });

  it("unauthorized does not poll", () => {
    const rig = new Rig({ canRefresh: false }).send({ type: "connect" });
    for (let i = 0; i < 100; i++) {
      if (rig.state.stream) rig.requested().ended(status(401));
      rig.advance(500);
    }
    expect(rig.all("poll")).toEqual([]);
  });

  // shows: behaviour/refused
  it.each([400, 403, 404, 410, 426])("%i is refused until the user begins again", (code) => {
    const rig = new Rig().send({ type: "connect" }).requested().ended(status(code), `status_${code}`);
    expect(rig.status).toBe("refused");
    rig.drain();
    rig.send({ type: "online" }).send({ type: "visible" }).advance(600_000);
    expect(rig.effects).toEqual([]);
    rig.send({ type: "reconnect" });
    expect(rig.drain()).toEqual(["open_stream"]);
  });

  it("204 stops", () => {
    const rig = new Rig().send({ type: "connect" }).requested().ended(status(204));
    expect(rig.status).toBe("closed");
    expect(rig.advance(60_000).all("open_stream")).toHaveLength(1);
  });

  it.each([408, 425, 429, 500, 502, 503, 504])("%i is tried again (pain 6)", (code) => {
    expect(new Rig().send({ type: "connect" }).requested().ended(status(code)).wait).toBe(500);
  });
});

describe("the scheduler", () => {
  it("never asks to be woken for something that it will not do, whatever happens", () => {
    let seed = 7;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
    for (let run = 0; run < 300; run++) {
      const rig = new Rig({ canRefresh: run % 2 === 0 }).send({ type: "connect" });
      for (let i = 0; i < 60; i++) {
        rig.draw = random();
        const { stream, poll } = rig.state;
        const outcome = pick([
          { kind: "network" },
          { kind: "end" },
          status(401),
          status(503, 3),
          { kind: "violation" },
        ] as const);
        const move = Math.floor(random() * 12);
        if (move === 0 && stream) rig.connected();
        else if (move === 1 && stream) rig.ended(outcome);
        else if (move === 2 && stream?.phase === "preparing") rig.requested();
        else if (move === 3 && stream?.phase === "live") rig.heartbeat(random() < 0.8);
        else if (move === 4 && stream?.phase === "live") rig.goodbye("draining", random() * 40_000);
        else if (move === 5 && poll) rig.pollDone(random() < 0.1);
        else if (move === 6 && poll) rig.pollFails(outcome);
        else if (move === 7) rig.send({ type: pick(["online", "offline"]) });
        else if (move === 8) rig.send({ type: pick(["visible", "hidden"]) });
        else if (move === 9) rig.send({ type: pick(["frozen", "restored", "reconnect"]) });
        rig.wakes = 0;
        rig.advance(random() * 20_000);
        expect(rig.wakes).toBeLessThan(20);
        const running = rig.state.mode === "running" && !rig.state.suspended && !rig.state.resting;
        const alive = rig.state.stream !== null || rig.state.retryAt !== null;
        // Nobody may be left deaf: there is a stream, or a moment at which there will be one.
        if (running) expect(alive).toBe(true);
      }
    }
  });
});
