/**
 * A world in hand: a clock that only `pass` moves, draws from a seed, page events, and a small server that keeps logs the
 * way the protocol says. The client's own code runs unchanged on it.
 */
import { RealtimeService } from "../src/service.js";
import type { Environment, Message, Notice, PageEvent, RealtimeOptions } from "../src/types.js";
import { Browser, Tab } from "./browser.js";
import { cursorAt, seeded } from "./ledger.js";

interface LogEvent {
  type: string;
  data: unknown;
}

export interface OpenStream {
  user: string;
  tab: string;
  headers: Headers;
  closed: boolean;
  write(text: string): void;
  frame(type: string, data: unknown, id?: string): void;
  /** A clean end of the body. */
  end(): void;
  /** The socket breaks. */
  cut(): void;
}

export interface SeenRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: Record<string, unknown>;
  credentials: RequestCredentials | undefined;
  keepalive: boolean;
  at: number;
}

export interface Receipt {
  chatUserId: string;
  read_upto?: number;
  delivered_upto?: number;
}

type Answer = Response | Promise<Response> | "hang" | "network" | null;

export class World {
  now = 1_800_000_000_000;
  /** What the wall clock is ahead of the time that passes; somebody may set it. */
  wallAhead = 0;
  readonly seen: SeenRequest[] = [];
  readonly streams: OpenStream[] = [];
  /** Answers instead of the server while it answers something; "hang" never does, "network" fails. */
  intercept: ((request: SeenRequest) => Answer) | null = null;
  /** Told of each request that is given up before its answer. */
  onAbort: ((request: SeenRequest) => void) | null = null;
  /** Streams are open and silent, as behind a proxy that buffers. */
  mute = false;
  epoch = "e";
  token = "good";
  /** The host's cookie says who it is: services are made without `getToken`. */
  byCookie = false;
  /** Whose the token or the cookie is. */
  me = "ada";
  /** What is unread in conversations that the inbox does not list. */
  unreadElsewhere = 0;

  readonly #timers = new Map<number, { at: number; fn: () => void }>();
  #timerId = 0;
  readonly #random = seeded(11);
  readonly #logs = new Map<string, LogEvent[]>();
  readonly #messages: Message[] = [];
  #watchers = new Set<(event: PageEvent) => void>();
  onLine = true;
  hidden = false;

  readonly environment: Partial<Environment> = {
    now: () => this.now + this.wallAhead,
    monotonic: () => this.now,
    random: () => this.#random(),
    randomBytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(this.#random() * 256)),
    setTimer: (fn, ms) => {
      this.#timers.set(++this.#timerId, { at: this.now + ms, fn });
      return this.#timerId;
    },
    clearTimer: (handle) => void this.#timers.delete(handle as number),
    fetch: (input, init) => this.#fetch(input, init),
    onLine: () => this.onLine,
    hidden: () => this.hidden,
    watchPage: (fn) => {
      this.#watchers.add(fn);
      return () => void this.#watchers.delete(fn);
    },
    locks: null,
    channel: null,
  };

  /** A service in a tab of its own: what happens to its page happens to no other. */
  tab(browser: Browser, options: Partial<RealtimeOptions> = {}): Tab {
    return new Tab(this, browser, options);
  }

  service(options: Partial<RealtimeOptions> = {}): { service: RealtimeService; notices: Notice[] } {
    const notices: Notice[] = [];
    const { environment, ...rest } = options;
    const service = new RealtimeService({
      url: "/api/message",
      ...(!this.byCookie && { getToken: () => this.token }),
      onError: (notice) => notices.push(notice),
      ...rest,
      environment: { ...this.environment, ...environment },
    });
    return { service, notices };
  }

  get timers(): number {
    return this.#timers.size;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  page(event: PageEvent): Promise<void> {
    if (event === "online" || event === "offline") this.onLine = event === "online";
    if (event === "hidden" || event === "visible") this.hidden = event === "hidden";
    for (const fn of this.#watchers) fn(event);
    return this.settle();
  }

  /** Let everything happen that can happen without time passing. */
  async settle(): Promise<void> {
    for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Let time pass, waking timers in their order. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    await this.settle();
    for (;;) {
      const next = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0];
      if (!next || next[1].at > end) break;
      this.#timers.delete(next[0]);
      this.now = Math.max(this.now, next[1].at);
      next[1].fn();
      await this.settle();
    }
    this.now = end;
  }

  /** Somebody sends through the server, from another device. */
  says(from: string, to: string, text: string, client_id: string | null = null): Message {
    const seq = this.#between(from, to).length + 1;
    const message: Message = {
      _id: `${from}/${to}/${seq}`,
      seq,
      sender_id: from,
      recipient_id: to,
      text,
      message_type: "text",
      sent: true,
      delivered: false,
      read: false,
      createdAt: new Date(this.now).toISOString(),
      client_id,
    };
    this.#messages.push(message);
    this.append(to, "new_message", { ...message, client_id: null });
    this.append(from, "new_message", message);
    return message;
  }

  /** Whether there is a message that this user sent under this `client_id`. */
  has(user: string, clientId: string): boolean {
    return this.#messages.some((one) => one.sender_id === user && one.client_id === clientId);
  }

  between(a: string, b: string): readonly Message[] {
    return this.#between(a, b);
  }

  append(user: string, type: string, data: unknown): void {
    const log = this.#log(user);
    log.push({ type, data });
    for (const stream of this.live(user)) stream.frame(type, data, cursorAt(log.length, this.epoch));
  }

  live(user: string): OpenStream[] {
    return this.streams.filter((stream) => stream.user === user && !stream.closed);
  }

  stream(user: string): OpenStream {
    const found = this.live(user).at(-1);
    if (!found) throw new Error(`${user} has no stream`);
    return found;
  }

  /** The `connected` frame of a stream that was mute, with everything since its position. */
  greet(stream: OpenStream): Promise<void> {
    this.#greet(stream.user, stream, stream.headers.get("last-event-id"));
    return this.settle();
  }

  /** What the server answers to this GET now; for an answer that arrives later than what happens next. */
  answerTo(path: string): Response {
    const url = new URL(path, "http://host.test");
    return url.pathname.startsWith("/inbox")
      ? this.#inbox("ada")
      : this.#history("ada", url.pathname.slice(1), url.searchParams);
  }

  requests(method: string, start: string): SeenRequest[] {
    return this.seen.filter((request) => request.method === method && request.path.startsWith(start));
  }

  /** What was told by receipts, in the order of the requests. */
  get receipts(): Receipt[] {
    return this.requests("POST", "/receipts").flatMap(({ body }) => body["receipts"] as Receipt[]);
  }

  head(user: string): string {
    return cursorAt(this.#log(user).length, this.epoch);
  }

  /** The database is put back to a backup that has `kept` messages and a new epoch. */
  restore(kept: number): void {
    this.epoch = "f";
    this.#messages.length = kept;
    this.#logs.clear();
  }

  #log(user: string): LogEvent[] {
    let log = this.#logs.get(user);
    if (!log) this.#logs.set(user, (log = []));
    return log;
  }

  #between(a: string, b: string): Message[] {
    return this.#messages.filter(
      (one) => (one.sender_id === a && one.recipient_id === b) || (one.sender_id === b && one.recipient_id === a),
    );
  }

  async #fetch(input: string, init: RequestInit): Promise<Response> {
    const url = new URL(input, "http://host.test");
    const request: SeenRequest = {
      method: init.method ?? "GET",
      path: url.pathname.replace("/api/message", ""),
      query: url.searchParams,
      headers: new Headers(init.headers),
      body: typeof init.body === "string" ? (JSON.parse(init.body) as Record<string, unknown>) : {},
      credentials: init.credentials,
      keepalive: init.keepalive ?? false,
      at: this.now,
    };
    this.seen.push(request);
    const { signal } = init;
    const aborted = new Promise<never>((_, reject) => {
      const abort = () => {
        this.onAbort?.(request);
        reject(new DOMException("aborted", "AbortError"));
      };
      if (signal?.aborted) abort();
      else signal?.addEventListener("abort", abort);
    });
    const answer = (async () => {
      await Promise.resolve();
      const told = this.intercept?.(request) ?? null;
      if (told === "hang") return new Promise<never>(() => undefined);
      if (told === "network") throw new TypeError("failed to fetch");
      return told ?? this.#answer(request, signal ?? null);
    })();
    return Promise.race([answer, aborted]);
  }

  /** What the server answers to this request now. */
  answer(request: SeenRequest): Promise<Response> {
    return Promise.resolve(this.#answer(request, null));
  }

  #answer(request: SeenRequest, signal: AbortSignal | null): Response {
    const bearer = request.headers.get("authorization")?.replace("Bearer ", "");
    if (bearer !== this.token && request.credentials !== "include" && bearer !== undefined) {
      return problem(401, "unauthorized");
    }
    const [first = "", second = ""] = request.path.slice(1).split("/").map(decodeURIComponent);
    const user = second === "" || second === "me" ? this.me : second;
    if (request.method === "POST") return this.#post(first, request.body);
    if (first === "sse") return this.#open(user, request, signal);
    if (first === "events") return this.#events(user, request);
    if (first === "inbox") return this.#inbox(user);
    return this.#history(this.me, first, request.query);
  }

  #post(route: string, body: Record<string, unknown>): Response {
    const peer = String(body["recipientId"] ?? body["chatUserId"]);
    if (route === "send") {
      const before = this.#messages.find((one) => one.sender_id === this.me && one.client_id === body["client_id"]);
      const message = before ?? this.says(this.me, peer, String(body["text"]), String(body["client_id"]));
      return json(201, { success: true, message });
    }
    if (route === "receipts") {
      const receipts = (body["receipts"] as Receipt[]).map(({ chatUserId, ...upto }) => {
        const { read_upto = 0, delivered_upto = 0 } = upto;
        const marks = { read_upto, delivered_upto: Math.max(read_upto, delivered_upto) };
        return { chatUserId, watermarks: { ...marks, peer_read_upto: 0, peer_delivered_upto: 0 } };
      });
      return json(200, { success: true, user_id: this.me, receipts });
    }
    return json(202, { success: true });
  }

  #open(user: string, request: SeenRequest, signal: AbortSignal | null): Response {
    let controller: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: (given) => void (controller = given),
      cancel: () => void (stream.closed = true),
    });
    const encoder = new TextEncoder();
    const stream: OpenStream = {
      user,
      tab: request.query.get("tab") ?? "",
      headers: request.headers,
      closed: false,
      write: (text) => {
        if (!stream.closed) controller.enqueue(encoder.encode(text));
      },
      frame: (type, data, id) =>
        stream.write(`${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify({ type, data })}\n\n`),
      end: () => {
        if (!stream.closed) controller.close();
        stream.closed = true;
      },
      cut: () => {
        if (!stream.closed) controller.error(new TypeError("ECONNRESET"));
        stream.closed = true;
      },
    };
    signal?.addEventListener("abort", () => stream.cut());
    this.streams.push(stream);
    if (!this.mute) this.#greet(user, stream, request.headers.get("last-event-id"));
    return new Response(body, { status: 200, headers: { "content-type": "text/event-stream; charset=utf-8" } });
  }

  #greet(user: string, stream: OpenStream, asked: string | null): void {
    const log = this.#log(user);
    const from = asked === null ? log.length : Number(asked.split("-")[1]);
    const resumed = asked !== null && asked.startsWith(`${this.epoch}-`) && from <= log.length;
    const cursor = asked === null || resumed ? cursorAt(from, this.epoch) : this.head(user);
    const data = {
      user_id: user,
      cursor,
      head: this.head(user),
      resumed,
      heartbeat_ms: 15_000,
      limits: { text_bytes: 1000 },
    };
    stream.frame("connected", data, asked !== null && !resumed ? undefined : cursor);
    if (asked !== null && !resumed) {
      stream.frame("reset", { reason: "other_epoch", cursor }, cursor);
      return;
    }
    log
      .slice(from)
      .forEach(({ type, data: of }, index) => stream.frame(type, of, cursorAt(from + index + 1, this.epoch)));
    stream.frame("caught_up", { cursor: this.head(user) });
  }

  #events(user: string, request: SeenRequest): Response {
    const log = this.#log(user);
    const asked = request.query.get("cursor");
    const cursor = this.head(user);
    if (asked === null) return json(200, { success: true, events: [], cursor, has_more: false });
    if (!asked.startsWith(`${this.epoch}-`)) {
      return json(200, {
        success: true,
        events: [],
        cursor,
        has_more: false,
        reset: { reason: "other_epoch", cursor },
      });
    }
    const from = Number(asked.split("-")[1]);
    const events = log.slice(from).map((event, index) => ({ ...event, id: cursorAt(from + index + 1, this.epoch) }));
    return json(200, { success: true, user_id: user, events, cursor, has_more: false });
  }

  #history(me: string, peer: string, query: URLSearchParams): Response {
    const before = Number(query.get("before") ?? Infinity);
    const all = this.#between(me, peer).filter((one) => one.seq < before);
    const limit = Math.min(200, Number(query.get("limit") ?? 50));
    const messages = all.slice(-limit).map((one) => (one.sender_id === me ? one : { ...one, client_id: null }));
    const watermarks = { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 };
    const user = { id: peer, name: peer.toUpperCase(), avatar_url: null };
    const has_more = all.length > messages.length;
    return json(200, { success: true, user_id: me, messages, has_more, cursor: this.head(me), watermarks, user });
  }

  #inbox(me: string): Response {
    const peers = new Set(this.#messages.flatMap((one) => [one.sender_id, one.recipient_id]));
    peers.delete(me);
    const met = [...peers].filter((peer) => this.#between(me, peer).length > 0);
    const conversations = met.map((peer) => {
      const all = this.#between(me, peer);
      const last_message = all.at(-1);
      return {
        user: { id: peer, name: peer.toUpperCase(), avatar_url: null },
        last_message,
        unread: all.filter((one) => one.sender_id === peer).length,
        watermarks: { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 },
        updatedAt: last_message?.createdAt,
        position: 1,
      };
    });
    const unread_total = conversations.reduce((sum, { unread }) => sum + unread, this.unreadElsewhere);
    return json(200, {
      success: true,
      user_id: me,
      conversations,
      has_more: false,
      cursor: this.head(me),
      unread_total,
    });
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
}

export function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  return json(
    status,
    { type: "about:blank", title: code, status, code, detail: `It is ${code}.`, success: false },
    headers,
  );
}
