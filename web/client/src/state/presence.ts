/**
 * Whether the other one is online: asked while a screen shows the conversation, kept by frames, and unknown (null) as soon
 * as neither can be relied upon.
 */
import { mayRetry, type Api } from "../http/api.js";
import type { Connection } from "../connection/connection.js";
import { Alarm } from "../http/alarm.js";
import { readPresenceAnswer } from "../wire/shapes.js";

/** The server tells of changes for `watch_s`; asked again when this part of it is over. */
const RENEW_AT = 0.75;
const RETRY_MS = 15_000;

export class PeerPresence {
  #online: boolean | null = null;
  #watchers = 0;
  readonly #alarm: Alarm;
  #controller: AbortController | null = null;

  constructor(
    /** When the server can be reached again, `ask` is called. */
    private readonly parts: { api: Api; connection: Connection },
    private readonly peerId: string,
    private readonly changed: () => void,
  ) {
    this.#alarm = new Alarm(parts.api.environment);
  }

  get online(): boolean | null {
    return this.#online;
  }

  /** Keep it up to date until the answer is called. */
  watch(): () => void {
    this.#watchers += 1;
    if (this.#watchers === 1) this.ask();
    let isWatching = true;
    return () => {
      if (!isWatching) return;
      isWatching = false;
      this.#watchers -= 1;
      if (this.#watchers === 0) this.forget();
    };
  }

  /** Ask now: a watch begins or has to be renewed, the connection is new, the page is seen again. */
  ask(): void {
    this.#stop();
    const { api, connection } = this.parts;
    if (this.#watchers === 0 || !connection.reaches) return;
    // Nobody looks: it is asked again when the page is seen.
    if (api.environment.hidden()) return this.#set(null);
    const controller = (this.#controller = new AbortController());
    const again = (ms: number): void => this.#alarm.set(ms, () => this.ask());
    api.post(api.address(["presence"]), { chatUserId: this.peerId }, controller.signal).then(
      (body) => {
        if (this.#controller !== controller) return;
        this.#controller = null;
        const { online, watch_s } = readPresenceAnswer(body);
        if (watch_s > 0) again(watch_s * 1000 * RENEW_AT);
        this.#set(online);
      },
      (error: unknown) => {
        if (this.#controller !== controller) return;
        this.#controller = null;
        if (mayRetry(error) && api.waits(error)) again(RETRY_MS);
        this.#set(null);
      },
    );
  }

  /** A frame told of a change. */
  told(online: boolean): void {
    if (this.#watchers > 0) this.#set(online);
  }

  /** It is not known any more: nobody looks, a block, another user. */
  forget(): void {
    this.#stop();
    this.#set(null);
  }

  #stop(): void {
    this.#alarm.clear();
    this.#controller?.abort();
    this.#controller = null;
  }

  #set(online: boolean | null): void {
    if (online === this.#online) return;
    this.#online = online;
    this.changed();
  }
}
