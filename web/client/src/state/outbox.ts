/**
 * Sends that the server has not acknowledged.
 *
 * Rules of this file:
 * 1. A message keeps its `client_id` until the server has answered for good, so that a repeated send is the same send.
 * 2. One conversation sends in order, one message at a time; conversations do not wait for each other.
 * 3. Sending never waits for the stream. It may wait for its turn: of the tabs of one browser one sends at a time, and it
 *    sends what any of them has.
 * 4. No answer, 408, 425, 429 and 5xx: the message stays and is sent again by the policy of `retry.ts`. Where nobody, or somebody
 *    else, is signed in it stays until the connection gets through. Any other refusal, and 48 hours without an answer: it stays as `failed`, until somebody retries or discards it.
 * 5. The echo over the stream and the answer to the request settle a message alike, whichever comes first. A request whose
 *    message was settled by its echo runs to its end: aborting it would cost a connection and show as an error.
 * 6. What may be on its way is not taken back before the server was asked whether it has it.
 * 7. Where nobody is signed in and it is not known who writes, whoever signs in next may be somebody else: what is queued is
 *    `failed`, and only a person sends it, by `retry`.
 */
import { mayRetry, ServerProblem } from "../http/api.js";
import { Backoff } from "../http/backoff.js";
import { Turn } from "../connection/turn.js";
import type { Device } from "../device/device.js";
import type { Listeners } from "../listeners.js";
import { clientIds } from "./client-ids.js";
import { find, send, type SendParts } from "./send-requests.js";
import { Alarm } from "../http/alarm.js";
import { Store } from "../store.js";
import { SIGNED_OUT } from "../wire/retry.js";
import type { Environment, Message, OutboxSnapshot, PendingMessage, UnsentMessages } from "../types.js";

const EXPIRES_AFTER_MS = 48 * 3_600_000;
const EXPIRED = { code: "expired", message: "It could not be sent for 48 hours." };
const NOBODY = { code: SIGNED_OUT, message: "Nobody is signed in." };

/** What changed in the outbox of one tab, for the others. */
export type OutboxNews =
  | { type: "put"; message: PendingMessage }
  /** `message` is what the server has made of it; null: it was taken back. */
  | { type: "gone"; peerId: string; clientId: string; message: Message | null }
  | { type: "hurry"; peerId: string };

export interface OutboxParts extends SendParts {
  device: Device;
  listeners: Listeners;
}

interface Lane {
  items: readonly PendingMessage[];
  sending: { clientId: string; controller: AbortController } | null;
  /** Rings when the next attempt is due. */
  alarm: Alarm;
  /** The server asked this sender to be slower; hurrying would only be refused again. */
  asked: boolean;
  /** Nobody, or somebody else, is signed in: there is no next attempt before the connection gets through. */
  held: boolean;
  backoff: Backoff;
}

const NOTHING: readonly PendingMessage[] = [];

export class Outbox extends Store<OutboxSnapshot> implements UnsentMessages {
  readonly #lanes = new Map<string, Lane>();
  readonly #turn: Turn;
  readonly #name: ReturnType<typeof clientIds>;
  readonly #environment: Environment;
  #paused = false;

  constructor(private readonly parts: OutboxParts) {
    super({ pending: NOTHING });
    const { environment } = parts.api;
    this.#environment = environment;
    this.#name = clientIds(environment);
    this.#turn = new Turn(
      environment,
      () => this.#pumpAll(),
      () => {
        for (const lane of this.#lanes.values()) this.#halt(lane);
        this.#pumpAll();
      },
    );
  }

  list(peerId: string): readonly PendingMessage[] {
    return this.#lanes.get(peerId)?.items ?? NOTHING;
  }

  /** Those for whom something is pending. */
  people(): string[] {
    return [...this.#lanes].flatMap(([peerId, { items }]) => (items.length > 0 ? [peerId] : []));
  }

  /** Send. `turn` names what the tabs of this browser take turns at; null where they do not. */
  open(turn: string | null): void {
    this.#paused = false;
    this.#turn.of(turn);
    this.hurry();
  }

  /** Send nothing until `open`. What is on its way may still arrive; its echo or its repetition settles it. */
  pause(): void {
    this.#paused = true;
    for (const lane of this.#lanes.values()) this.#halt(lane);
    this.#turn.leave();
  }

  /** Forget everything. */
  purge(): void {
    const peers = [...this.#lanes.keys()];
    for (const lane of this.#lanes.values()) this.#halt(lane);
    this.#lanes.clear();
    this.#turn.leave();
    for (const peerId of peers) this.#changed(peerId);
  }

  /** Queue a message; answers its `client_id`. */
  add(peerId: string, text: string, messageType: string): string {
    const { id: client_id, at } = this.#name();
    const message: PendingMessage = {
      client_id,
      recipient_id: peerId,
      text,
      message_type: messageType,
      createdAt: new Date(at).toISOString(),
      state: "queued",
      attempts: 0,
      error: null,
    };
    const lane = this.#lane(peerId);
    lane.items = [...lane.items, message];
    this.#put(message);
    this.refuse();
    this.#pump(peerId, lane);
    return client_id;
  }

  /** Send nothing that is queued, where rule 7 says so. */
  refuse(): void {
    if (!this.#isNobodys) return;
    const queued = [...this.#lanes.values()].flatMap((lane) =>
      lane.items.flatMap((item) => (item.state === "queued" ? [{ lane, item }] : [])),
    );
    for (const { lane, item } of queued) this.#replace(lane, { ...item, state: "failed", error: NOBODY });
    if (queued.length > 0) this.parts.listeners.notify("send_failed", NOBODY.message);
  }

  /** What was kept: put what is new here among the rest. With `all`, what is not kept any more is gone. */
  restore(kept: readonly PendingMessage[], all: boolean): void {
    const ids = new Set(kept.map((message) => message.client_id));
    const changed = new Set(kept.map((message) => message.recipient_id));
    if (all) {
      for (const [peerId, lane] of this.#lanes) {
        if (lane.items.every((one) => ids.has(one.client_id))) continue;
        lane.items = lane.items.filter((one) => ids.has(one.client_id));
        changed.add(peerId);
      }
    }
    for (const message of kept) {
      const lane = this.#lane(message.recipient_id);
      if (lane.items.some((one) => one.client_id === message.client_id)) continue;
      // It may have gone out just before the page did, and that was not written down any more.
      lane.items = inOrder([...lane.items, { ...idle(message), attempts: Math.max(1, message.attempts) }]);
    }
    for (const peerId of changed) this.#changed(peerId);
    this.hurry();
  }

  /** Keep all of it: until now nobody knew whose it is. */
  keepAll(): void {
    for (const lane of this.#lanes.values())
      lane.items.forEach((item) => this.parts.device.keepUnsent(item.client_id, item));
  }

  /** News from another tab. */
  heard(news: OutboxNews): void {
    if (news.type === "put") {
      const { message } = news;
      const lane = this.#lane(message.recipient_id);
      const held = lane.items.some((one) => one.client_id === message.client_id);
      lane.items = held
        ? lane.items.map((one) => (one.client_id === message.client_id ? message : one))
        : inOrder([...lane.items, message]);
      if (message.state === "cancelling") this.#abort(lane, message.client_id);
      this.#turn.heard();
      this.#changed(message.recipient_id);
      this.#pump(message.recipient_id, lane);
    } else if (news.type === "gone") {
      if (news.message) this.#acknowledged(news.message);
      this.#turn.heard();
      if (this.#drop(news.peerId, news.clientId)) this.#changed(news.peerId);
    } else {
      const lane = this.#lanes.get(news.peerId);
      if (!lane) return;
      lane.alarm.clear();
      lane.held = false;
      this.#pump(news.peerId, lane);
    }
  }

  retry(clientId: string): void {
    const found = this.#find(clientId);
    if (!found) return;
    const { peerId, lane, item } = found;
    if (item.state === "sending" || item.state === "cancelling" || this.#isNobodys) return;
    if (item.state === "failed") {
      // Asked for anew: its 48 hours begin now, and it comes after what is queued already.
      const createdAt = new Date(this.#name().at).toISOString();
      lane.items = [...lane.items.filter((one) => one !== item), item];
      this.#replace(lane, { ...item, createdAt, state: "queued", error: null });
    }
    lane.alarm.clear();
    lane.held = false;
    this.#tell({ type: "hurry", peerId });
    this.#pump(peerId, lane);
  }

  /** Take a message back. If it may be on its way, the server is asked first. */
  discard(clientId: string): void {
    const found = this.#find(clientId);
    if (!found) return;
    const { peerId, lane, item } = found;
    if (item.state === "cancelling") return;
    const refused = item.state === "failed" && item.error?.code !== EXPIRED.code && item.error?.code !== NOBODY.code;
    if (item.attempts === 0 || refused) {
      this.settle(peerId, clientId);
      this.#tell({ type: "gone", peerId, clientId, message: null });
      return;
    }
    this.#abort(lane, clientId);
    lane.alarm.clear();
    lane.held = false;
    this.#replace(lane, { ...item, state: "cancelling", error: null });
    this.#tell({ type: "hurry", peerId });
    this.#pump(peerId, lane);
  }

  /** Take the message off the list: the server has it, or nobody wants it sent. What the server has is shown before. */
  settle(peerId: string, clientId: string): void {
    if (!this.#drop(peerId, clientId)) return;
    this.parts.device.keepUnsent(clientId, null);
    this.#changed(peerId);
  }

  /** The network or the server is back: do not wait any longer, except where the server asked to. */
  hurry(): void {
    for (const lane of this.#lanes.values()) {
      if (!lane.asked) lane.alarm.clear();
      lane.held = false;
    }
    this.#pumpAll();
  }

  #pumpAll(): void {
    for (const [peerId, lane] of this.#lanes) this.#pump(peerId, lane);
  }

  #pump(peerId: string, lane: Lane): void {
    if (this.#paused || this.#lanes.get(peerId) !== lane) return;
    if (!this.parts.connection.admits) return this.#turn.leave();
    const item = lane.items.find((one) => one.state !== "failed");
    if (!item) return this.#endTurn();
    if (lane.sending || lane.held || lane.alarm.isSet || !this.#turn.take()) return;
    if (item.state === "cancelling") return void this.#cancel(peerId, lane, item);
    // Not before it was tried: the clock may have been wrong when it was written.
    if (item.attempts > 0 && this.#environment.now() - Date.parse(item.createdAt) > EXPIRES_AFTER_MS) {
      this.#replace(lane, { ...item, state: "failed", error: EXPIRED });
      this.parts.listeners.notify("send_failed", EXPIRED.message);
      return this.#pump(peerId, lane);
    }
    void this.#send(peerId, lane, item);
  }

  #endTurn(): void {
    const busy = [...this.#lanes.values()].some((lane) => lane.items.some((one) => one.state !== "failed"));
    if (!busy) this.#turn.leave();
  }

  async #send(peerId: string, lane: Lane, queued: PendingMessage): Promise<void> {
    const item = { ...queued, state: "sending", attempts: queued.attempts + 1 } as const;
    this.#replace(lane, item);
    await this.#attempt(peerId, lane, item, async (signal) => {
      const answer = await send(this.parts, item, signal);
      return () => this.#sent(peerId, item.client_id, answer);
    });
  }

  /** Ask whether the server has it: then it is sent, else it is gone. */
  async #cancel(peerId: string, lane: Lane, item: PendingMessage): Promise<void> {
    await this.#attempt(peerId, lane, item, async (signal) => {
      const found = await find(this.parts, item, signal);
      return () => this.#sent(peerId, item.client_id, found);
    });
  }

  async #attempt(
    peerId: string,
    lane: Lane,
    item: PendingMessage,
    ask: (signal: AbortSignal) => Promise<() => void>,
  ): Promise<void> {
    const controller = new AbortController();
    const attempt = { clientId: item.client_id, controller };
    lane.sending = attempt;
    let answered: (() => void) | null = null;
    let failure: unknown = null;
    try {
      answered = await ask(controller.signal);
    } catch (error) {
      failure = error;
    }
    // Settled by its echo, discarded, paused or purged meanwhile.
    if (lane.sending !== attempt) return;
    lane.sending = null;
    if (answered !== null) {
      lane.backoff.reset();
      answered();
    } else {
      this.#fail(peerId, lane, item, failure);
    }
    this.#pump(peerId, lane);
  }

  #sent(peerId: string, clientId: string, message: Message | null): void {
    if (message !== null) this.#acknowledged(message);
    this.settle(peerId, clientId);
    this.#tell({ type: "gone", peerId, clientId, message });
  }

  #fail(peerId: string, lane: Lane, item: PendingMessage, failure: unknown): void {
    const message = failure instanceof Error ? failure.message : String(failure);
    const error = failure instanceof ServerProblem ? { code: failure.code, message } : null;
    if (!mayRetry(failure)) {
      lane.backoff.reset();
      this.#replace(lane, { ...item, state: "failed", error });
      this.parts.listeners.notify("send_failed", message);
      return;
    }
    // A server that comes back is not what asked for the wait.
    lane.asked = failure instanceof ServerProblem && failure.status === 429;
    lane.held = !this.parts.api.waits(failure);
    if (!lane.held) lane.alarm.set(lane.backoff.failed(failure).wait_ms, () => this.#pump(peerId, lane));
    this.#replace(lane, { ...idle(item), error });
    this.refuse();
  }

  get #isNobodys(): boolean {
    return this.parts.api.userId === null && !this.parts.connection.admits;
  }

  #lane(peerId: string): Lane {
    let lane = this.#lanes.get(peerId);
    if (!lane) {
      const alarm = new Alarm(this.#environment);
      const backoff = new Backoff(this.parts.api);
      lane = { items: NOTHING, sending: null, alarm, asked: false, held: false, backoff };
      this.#lanes.set(peerId, lane);
    }
    return lane;
  }

  #acknowledged(message: Message): void {
    this.parts.log.tell({ type: "sent", peerId: message.recipient_id, message });
  }

  #find(clientId: string): { peerId: string; lane: Lane; item: PendingMessage } | undefined {
    for (const [peerId, lane] of this.#lanes) {
      const item = lane.items.find((one) => one.client_id === clientId);
      if (item) return { peerId, lane, item };
    }
    return undefined;
  }

  #changed(peerId: string): void {
    const before = this.getSnapshot().pending;
    const pending = inOrder([...this.#lanes.values()].flatMap((lane) => lane.items));
    const isSame = pending.length === before.length && pending.every((message, at) => message === before[at]);
    if (!isSame) this.set({ pending });
    this.parts.log.tell({ type: "pending", peerId });
  }

  #tell(news: OutboxNews): void {
    this.parts.connection.tell({ type: "outbox", news });
  }

  #replace(lane: Lane, item: PendingMessage): void {
    lane.items = lane.items.map((one) => (one.client_id === item.client_id ? item : one));
    this.#put(item);
  }

  #put(item: PendingMessage): void {
    this.parts.device.keepUnsent(item.client_id, item);
    this.#tell({ type: "put", message: item });
    this.#changed(item.recipient_id);
  }

  #drop(peerId: string, clientId: string): boolean {
    const lane = this.#lanes.get(peerId);
    if (!lane?.items.some((one) => one.client_id === clientId)) return false;
    lane.items = lane.items.filter((one) => one.client_id !== clientId);
    if (lane.sending?.clientId === clientId) lane.sending = null;
    lane.backoff.reset();
    lane.alarm.clear();
    queueMicrotask(() => this.#pump(peerId, lane));
    return true;
  }

  #abort(lane: Lane, clientId: string): void {
    if (lane.sending?.clientId !== clientId) return;
    lane.sending.controller.abort();
    lane.sending = null;
  }

  #halt(lane: Lane): void {
    lane.alarm.clear();
    const { sending } = lane;
    if (!sending) return;
    lane.sending = null;
    sending.controller.abort();
    lane.items = lane.items.map((one) => (one.client_id === sending.clientId ? idle(one) : one));
  }
}

/** As it is while nothing is on its way. */
function idle(message: PendingMessage): PendingMessage {
  return message.state === "sending" ? { ...message, state: "queued" } : message;
}

function inOrder(items: readonly PendingMessage[]): readonly PendingMessage[] {
  const key = ({ createdAt, client_id }: PendingMessage) => createdAt + client_id;
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
