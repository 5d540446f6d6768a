/**
 * A browser in hand: Web Locks, BroadcastChannel and a storage that its tabs share. Tabs can be frozen, with what they hold
 * as the platform would leave it, and crash.
 */
import { MemoryStorage } from "../src/device/storage.js";
import type { Channel, Environment, Locks, PageEvent, RealtimeOptions } from "../src/types.js";
import type { RealtimeService } from "../src/service.js";
import type { World } from "./world.js";

interface Held {
  owner: object;
  end: () => void;
  steal: () => void;
}

export class Browser {
  readonly storage = new MemoryStorage();
  readonly #held = new Map<string, Held>();
  readonly #queues = new Map<string, { owner: object; grant: () => void }[]>();
  readonly #channels = new Map<string, Set<FakeChannel>>();

  locksOf(owner: Tab): Locks {
    return {
      request: (name, options, held) =>
        new Promise((resolve, reject) => {
          const queue = this.#queues.get(name) ?? [];
          this.#queues.set(name, queue);
          const grant = (): void => {
            // Whoever holds it now is stolen from; only a request that steals comes here while there is one.
            this.#held.get(name)?.steal();
            let stolen = false;
            const end = (): void => {
              if (stolen) return;
              stolen = true;
              this.#held.delete(name);
              queueMicrotask(() => this.#next(name));
            };
            const steal = (): void => {
              stolen = true;
              owner.run(() => reject(new DOMException("stolen", "AbortError")));
            };
            this.#held.set(name, { owner, end, steal });
            // A tab that is stopped has the lock, and hears of it when it runs again.
            owner.run(() => {
              void held().then((value) => {
                end();
                resolve(value);
              });
            });
          };
          if (options.steal) {
            queueMicrotask(grant);
            return;
          }
          const entry = { owner, grant };
          queue.push(entry);
          options.signal?.addEventListener("abort", () => {
            const at = queue.indexOf(entry);
            if (at < 0) return;
            queue.splice(at, 1);
            reject(new DOMException("aborted", "AbortError"));
          });
          queueMicrotask(() => this.#next(name));
        }),
    };
  }

  channelOf(owner: Tab): (name: string) => Channel {
    return (name) => {
      const all = this.#channels.get(name) ?? new Set();
      this.#channels.set(name, all);
      const channel = new FakeChannel(owner, all);
      all.add(channel);
      return channel;
    };
  }

  /** The platform's part of a crash: locks are free, channels are gone. */
  bury(tab: Tab): void {
    for (const queue of this.#queues.values())
      queue.splice(0, queue.length, ...queue.filter((one) => one.owner !== tab));
    for (const held of [...this.#held.values()]) if (held.owner === tab) held.end();
    for (const all of this.#channels.values()) {
      for (const channel of all) if (channel.owner === tab) all.delete(channel);
    }
  }

  #next(name: string): void {
    if (!this.#held.has(name)) this.#queues.get(name)?.shift()?.grant();
  }
}

class FakeChannel implements Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(
    readonly owner: Tab,
    private readonly all: Set<FakeChannel>,
  ) {}

  postMessage(message: unknown): void {
    if (this.owner.isStopped) return;
    const data = structuredClone(message);
    for (const other of this.all) {
      if (other !== this)
        queueMicrotask(() => other.owner.run(() => this.all.has(other) && other.onmessage?.({ data })));
    }
  }

  close(): void {
    this.all.delete(this);
  }
}

/** One page with one service. */
export class Tab {
  static #count = 0;
  readonly id = `tab ${++Tab.#count}`;
  readonly service: RealtimeService;
  readonly messages: string[] = [];
  isStopped = false;
  isHidden = false;
  readonly #late: (() => void)[] = [];
  readonly #watchers = new Set<(event: PageEvent) => void>();

  constructor(
    private readonly world: World,
    private readonly browser: Browser,
    options: Partial<RealtimeOptions>,
  ) {
    const { environment: of } = world;
    const environment: Partial<Environment> = {
      locks: browser.locksOf(this),
      channel: browser.channelOf(this),
      hidden: () => this.isHidden,
      setTimer: (fn, ms) => of.setTimer?.(() => this.run(fn), ms),
      watchPage: (fn) => {
        this.#watchers.add(fn);
        return () => void this.#watchers.delete(fn);
      },
      fetch: async (input, init) => {
        const headers = { ...(init.headers as Record<string, string>), "x-tab": this.id };
        const response = await (of.fetch as Environment["fetch"])(input, { ...init, headers });
        await new Promise<void>((resolve) => this.run(resolve));
        return response;
      },
    };
    ({ service: this.service } = world.service({ storage: browser.storage, ...options, environment }));
    this.service.on("message", (message) => this.messages.push(message.text));
  }

  get role(): string {
    return this.service.connection.getSnapshot().role;
  }

  get status(): string {
    return this.service.connection.getSnapshot().status;
  }

  /** Run now, or when the tab runs again. */
  run(fn: () => void): void {
    if (this.isStopped) this.#late.push(fn);
    else fn();
  }

  page(event: PageEvent): Promise<void> {
    if (event === "hidden" || event === "visible") this.isHidden = event === "hidden";
    for (const fn of this.#watchers) fn(event);
    return this.world.settle();
  }

  /** Nothing runs any more, and nobody was told: a debugger, a system that stops processes. It keeps its locks. */
  stop(): void {
    this.isStopped = true;
  }

  async goOn(): Promise<void> {
    this.isStopped = false;
    for (const fn of this.#late.splice(0)) fn();
    await this.world.settle();
  }

  async crash(): Promise<void> {
    this.isStopped = true;
    for (const stream of this.world.streams) if (stream.headers.get("x-tab") === this.id) stream.cut();
    this.browser.bury(this);
    await this.world.settle();
  }
}
