/**
 * The tabs of one browser that are connected as one user: which of them holds the stream, and what they tell each other.
 *
 * Rules of this file:
 * 1. The leader is who holds the Web Lock. The others wait for it in the browser's own queue, so that a tab that is closed,
 *    left or crashed hands over at once. A hidden leader stays leader: nothing changes at a tab switch.
 * 2. A leader that lives can fall silent (frozen by a debugger, stopped by the system) while it keeps the lock. It beats
 *    every 5 s; a follower that hears nothing asks, and steals the lock when there is no answer. Asking comes first,
 *    because timers of hidden tabs are throttled and those of a computer that slept are all late: a message wakes them.
 * 3. Every word of a leader carries its fence, which grows with each change of leader. Words of a former leader, who may
 *    wake up and not know yet, are passed over.
 * 4. Before a page is frozen or put into the back/forward cache it lets go of everything (`close`).
 */
import { randomId } from "../http/environment.js";
import { Alarm } from "../http/alarm.js";
import type { Channel, Environment, Locks } from "../types.js";
import { SharedLock } from "./shared-lock.js";

const BEAT_MS = 5000;
/** Without a word from the leader for this long, a follower asks. */
const DOUBT_MS = 7000;
/** How long the leader has to answer. */
const ANSWER_MS = 3000;

type Word =
  /** From the leader, to its followers. */
  | { type: "lead" | "beat"; fence: number }
  | { type: "relay"; fence: number; body: unknown }
  /** To the leader. */
  | { type: "hello" | "show"; visible: boolean }
  | { type: "ping" | "bye" }
  | { type: "ask"; body: unknown }
  /** To everybody. */
  | { type: "all"; body: unknown };

type Envelope = Word & { from: string };

export interface TabsHandlers {
  /** This tab holds the stream from now on. */
  lead(): void;
  /** It does not any more. */
  follow(): void;
  /** The leader says. */
  relayed(body: unknown): void;
  /** A follower asks this leader. */
  asked(body: unknown): void;
  /** What a newcomer must know. */
  state(): unknown;
  /** Whether the user can see any of the tabs. Told to the leader. */
  seen(visible: boolean): void;
  /** A follower doubts this leader: look at the clock. */
  doubted(): void;
  /** Another tab says to all. */
  told(body: unknown): void;
}

export class Tabs {
  leads = false;

  readonly #id: string;
  readonly #lock: SharedLock;
  readonly #open: (name: string) => Channel;
  #channel: Channel | null = null;
  #visible = false;
  #fence = 0;
  readonly #alarm: Alarm;
  #heardAt = 0;
  #askedAt: number | null = null;
  /** The followers, and whether the user can see them. */
  readonly #followers = new Map<string, boolean>();

  constructor(
    private readonly environment: Environment & { locks: Locks; channel: (name: string) => Channel },
    private readonly name: string,
    private readonly handlers: TabsHandlers,
  ) {
    this.#id = randomId(environment);
    this.#alarm = new Alarm(environment);
    this.#lock = new SharedLock(environment.locks, {
      held: () => this.#lead(),
      forbidden: () => this.#lead(),
      // This tab did not answer; now it does.
      lost: () => this.#fallBack(),
    });
    this.#open = environment.channel;
  }

  /** Take part, first as a follower. */
  open(): void {
    if (this.#channel !== null) return;
    this.#visible = !this.environment.hidden();
    let channel: Channel;
    try {
      channel = this.#channel = this.#open(this.name);
    } catch {
      // Forbidden, as where site data is blocked: this tab is alone.
      return this.#lead();
    }
    channel.onmessage = (event) => {
      if (this.#channel === channel) this.#receive(event.data as Envelope);
    };
    this.#heardAt = this.environment.monotonic();
    this.#greet();
    this.#lock.ask(this.name, false);
  }

  /** Let go of everything, at once. */
  close(): void {
    this.#post({ type: "bye" });
    this.#stop();
    if (this.#channel === null) return;
    this.#channel.onmessage = null;
    this.#channel.close();
    this.#channel = null;
  }

  /** Whether there is another tab that could lead. */
  get canYield(): boolean {
    return this.leads && this.#followers.size > 0;
  }

  /** Let another tab try, and wait behind it. */
  yield(): void {
    if (this.canYield) this.#fallBack();
  }

  /** As leader, to the followers. */
  relay(body: unknown): void {
    if (this.leads) this.#post({ type: "relay", fence: this.#fence, body });
  }

  /** As follower, to the leader. */
  ask(body: unknown): void {
    this.#post({ type: "ask", body });
  }

  /** To all the other tabs. */
  tell(body: unknown): void {
    this.#post({ type: "all", body });
  }

  /** This tab was shown or hidden. */
  show(visible: boolean): void {
    this.#visible = visible;
    if (this.leads) this.#count();
    else this.#post({ type: "show", visible });
    this.#arm();
  }

  #stop(): void {
    this.leads = false;
    this.#alarm.clear();
    this.#followers.clear();
    this.#lock.leave();
  }

  #greet(): void {
    this.#post({ type: "hello", visible: this.#visible });
    this.#askedAt = this.environment.monotonic();
    this.#arm();
  }

  /** Follow, and wait for the lock behind the others. */
  #fallBack(): void {
    this.#stop();
    this.handlers.follow();
    this.#greet();
    this.#lock.ask(this.name, false);
  }

  #lead(): void {
    if (this.leads) return;
    this.leads = true;
    this.#fence = Math.max(this.#fence + 1, this.environment.now());
    this.#post({ type: "lead", fence: this.#fence });
    this.handlers.lead();
    this.#count();
    this.#arm();
  }

  #count(): void {
    this.handlers.seen(this.#visible || [...this.#followers.values()].includes(true));
  }

  #post(word: Word): void {
    this.#channel?.postMessage({ ...word, from: this.#id });
  }

  #receive(word: Envelope): void {
    switch (word.type) {
      case "all":
        return this.handlers.told(word.body);
      case "lead":
      case "beat":
      case "relay":
        if (word.fence < this.#fence) return;
        this.#fence = word.fence;
        this.#heardAt = this.environment.monotonic();
        this.#askedAt = null;
        // A new leader does not know who is there.
        if (word.type === "lead") this.#post({ type: "hello", visible: this.#visible });
        if (word.type === "relay" && !this.leads) this.handlers.relayed(word.body);
        return;
      case "hello":
      case "show":
      case "ping":
      case "bye":
      case "ask":
        if (!this.leads) return;
    }
    switch (word.type) {
      case "hello":
      case "show":
        this.#followers.set(word.from, word.visible);
        if (word.type === "hello") this.relay(this.handlers.state());
        return this.#count();
      case "ping":
        this.#post({ type: "beat", fence: this.#fence });
        return this.handlers.doubted();
      case "bye":
        this.#followers.delete(word.from);
        return this.#count();
      case "ask":
        return this.handlers.asked(word.body);
    }
  }

  #arm(): void {
    if (this.#channel === null) return this.#alarm.clear();
    const now = this.environment.monotonic();
    const at = this.leads
      ? now + BEAT_MS
      : this.#askedAt !== null
        ? this.#askedAt + ANSWER_MS
        : this.#heardAt + DOUBT_MS;
    this.#alarm.set(Math.max(0, at - now), () => this.#wake());
  }

  #wake(): void {
    const now = this.environment.monotonic();
    if (this.leads) {
      this.#post({ type: "beat", fence: this.#fence });
    } else if (this.#askedAt !== null) {
      this.#askedAt = now;
      this.#lock.ask(this.name, true);
    } else if (now >= this.#heardAt + DOUBT_MS) {
      this.#askedAt = now;
      this.#post({ type: "ping" });
    }
    this.#arm();
  }
}
