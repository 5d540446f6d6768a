/**
 * A server in memory behind the client's `fetch`: one user's log, history, inbox and stream, so that the screen is tested
 * over the real client. Only what the tests need; what the real one does is tested against the real one.
 */
import type { Message, Person, Watermarks } from "../../src/types.js";

interface Stream {
  write: (text: string) => void;
  end: () => void;
}

type Answer = () => Response | Promise<Response>;

const encoder = new TextEncoder();

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}

export function problem(status: number, code: string, detail: string): Response {
  return json({ type: `urn:${code}`, title: code, status, code, detail, success: false, message: detail }, status);
}

/** The answer of a host that found these people. */
export function foundPeople(...people: { id: string; name: string; about?: string }[]): Response {
  return json({ success: true, people: people.map((person) => ({ avatar_url: null, about: null, ...person })) });
}

export class MemoryServer {
  /** Every request so far, as "GET /sse/ada". */
  readonly requests: string[] = [];
  readonly receipts: Record<string, unknown>[] = [];
  readonly people = new Map<string, Person>();
  readonly messages: Message[] = [];
  /** How the next sends are answered instead of with the message. */
  readonly sendAnswers: Answer[] = [];
  /** How every stream is answered while set. */
  streamAnswer: Answer | null = null;
  /** How histories are answered while set. */
  historyAnswer: Answer | null = null;
  textBytes = 16384;
  /** Whether anybody is signed in: else every request is refused. */
  signedIn = true;
  /** Whether the peer is there, blocked by this user, and what was reported of it. */
  online: boolean | null = null;
  blocked = false;
  readonly reports: Record<string, unknown>[] = [];
  reportAnswer: Answer | null = null;
  readUpto = 0;
  /** What the host's search answers to a text; null: it has none. */
  searchAnswer: ((text: string) => Response | Promise<Response>) | null = null;
  readonly streams = new Set<Stream>();
  /** Every frame of the log so far. */
  readonly #log: string[] = [];

  constructor(readonly me: string) {}

  get cursor(): string {
    return `e-${this.#log.length}-0`;
  }

  /** A message that is there before anybody looks. */
  has(from: string, text: string, more: Partial<Message> = {}): Message {
    return this.#store(from, from === this.me ? "ben" : this.me, text, null, more);
  }

  /** A message that arrives now. */
  receives(from: string, text: string): Message {
    const message = this.#store(from, this.me, text, null, {});
    this.#emit("new_message", message);
    return message;
  }

  /** The peer's receipt arrives now. */
  receipt(kind: "message_delivered" | "message_read", by: string, upto: number): void {
    this.#emit(kind, { chat_user_id: by, by, upto, at: new Date().toISOString() });
  }

  /** A frame that is in no log. */
  signals(type: string, data: unknown): void {
    for (const stream of this.streams) stream.write(`data: ${JSON.stringify({ type, data })}\n\n`);
  }

  readonly fetch = (input: string, init: RequestInit): Promise<Response> => {
    const { pathname, searchParams } = new URL(input, "http://127.0.0.1");
    const path = pathname.split("/").slice(2).map(decodeURIComponent);
    const method = init.method ?? "GET";
    this.requests.push(`${method} /${path.join("/")}`);
    return Promise.resolve().then(() => this.#answer(method, path, searchParams, init));
  };

  #answer(method: string, path: string[], query: URLSearchParams, init: RequestInit): Response | Promise<Response> {
    const [first = "", ...rest] = path;
    if (!this.signedIn) return problem(401, "unauthorized", "Please sign in.");
    if (method === "POST") {
      const { caller: _, ...body } = JSON.parse(String(init.body)) as Record<string, unknown>;
      if (first === "send") return this.#send(body);
      if (first === "receipts") return this.#receipt(body);
      if (first === "presence") return json({ success: true, online: this.online, watch_s: 60 });
      if (first === "block" || first === "unblock") this.blocked = first === "block";
      if (first === "report") return this.reportAnswer?.() ?? (this.reports.push(body), json({ success: true }, 202));
      return json({ success: true }, 202);
    }
    if (first === "sse")
      return this.streamAnswer?.() ?? this.#open(init.signal ?? null, new Headers(init.headers).get("last-event-id"));
    if (first === "events") return this.#events(query.get("cursor"));
    if (first === "inbox" && rest.length > 0) return this.#inbox();
    if (first === "people") {
      return this.searchAnswer?.(query.get("q") ?? "") ?? problem(404, "not_found", "There is nothing here.");
    }
    return this.historyAnswer?.() ?? this.#history(first, query);
  }

  #events(from: string | null): Response {
    const frames = from === null ? [] : this.#log.slice(Number(from.split("-")[1]));
    const events = frames.map((frame) => {
      const [, id = "", data = "{}"] = /^id: (.*)\ndata: (.*)\n/.exec(frame) ?? [];
      return { id, ...(JSON.parse(data) as object) };
    });
    return json({ success: true, user_id: this.me, events, cursor: this.cursor, has_more: false });
  }

  #send(body: Record<string, unknown>): Response | Promise<Response> {
    const answer = this.sendAnswers.shift();
    if (answer) return answer();
    const clientId = String(body["client_id"]);
    const message = this.#store(this.me, String(body["recipientId"]), String(body["text"]), clientId, {});
    this.#emit("new_message", message);
    return json({ success: true, message }, 201);
  }

  #receipt(body: Record<string, unknown>): Response {
    const receipts = (body["receipts"] as Record<string, unknown>[]).map((receipt) => {
      this.receipts.push(receipt);
      this.readUpto = Math.max(this.readUpto, Number(receipt["read_upto"] ?? 0));
      const delivered_upto = Number(receipt["delivered_upto"] ?? 0);
      return { chatUserId: receipt["chatUserId"], watermarks: { ...this.#watermarks(), delivered_upto } };
    });
    return json({ success: true, receipts });
  }

  #store(from: string, to: string, text: string, clientId: string | null, more: Partial<Message>): Message {
    const peer = from === this.me ? to : from;
    const seq = this.#with(peer).length + 1;
    const message: Message = {
      _id: `${peer}-${seq}`,
      seq,
      sender_id: from,
      recipient_id: to,
      text,
      message_type: "text",
      sent: true,
      delivered: false,
      read: false,
      createdAt: new Date().toISOString(),
      client_id: clientId,
      ...more,
    };
    this.messages.push(message);
    return message;
  }

  #emit(type: string, data: unknown): void {
    const frame = `id: e-${this.#log.length + 1}-0\ndata: ${JSON.stringify({ type, data })}\n\n`;
    this.#log.push(frame);
    for (const stream of this.streams) stream.write(frame);
  }

  #with(peer: string): Message[] {
    return this.messages.filter((message) => message.sender_id === peer || message.recipient_id === peer);
  }

  #person(id: string): Person {
    return this.people.get(id) ?? { id, name: id, avatar_url: null };
  }

  #watermarks(): Watermarks {
    return { read_upto: this.readUpto, delivered_upto: this.readUpto, peer_read_upto: 0, peer_delivered_upto: 0 };
  }

  #history(peer: string, query: URLSearchParams): Response {
    const before = Number(query.get("before") ?? Number.POSITIVE_INFINITY);
    const limit = Number(query.get("limit") ?? 50);
    const all = this.#with(peer).filter((message) => message.seq < before);
    const messages = all.slice(-limit);
    return json({
      success: true,
      messages,
      has_more: messages.length < all.length,
      cursor: this.cursor,
      watermarks: this.#watermarks(),
      user: this.#person(peer),
      blocked: this.blocked,
    });
  }

  #inbox(): Response {
    const peers = new Set(this.messages.map((m) => (m.sender_id === this.me ? m.recipient_id : m.sender_id)));
    const conversations = [...peers].map((peer) => {
      const all = this.#with(peer);
      const last = all.at(-1) as Message;
      const unread = all.filter((message) => message.sender_id === peer && message.seq > this.readUpto).length;
      const watermarks = this.#watermarks();
      return {
        user: this.#person(peer),
        last_message: last,
        unread,
        watermarks,
        updatedAt: last.createdAt,
        blocked: this.blocked,
        position: 1,
      };
    });
    return json({ success: true, conversations, has_more: false, cursor: this.cursor });
  }

  #open(signal: AbortSignal | null, from: string | null): Response {
    const cursor = from ?? this.cursor;
    const position = Number(cursor.split("-")[1]);
    const connected = {
      user_id: this.me,
      cursor,
      head: this.cursor,
      resumed: true,
      heartbeat_ms: 15000,
      server_time: new Date().toISOString(),
      limits: { text_bytes: this.textBytes },
    };
    let stream: Stream;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        stream = {
          write: (text) => controller.enqueue(encoder.encode(text)),
          end: () => {
            if (this.streams.delete(stream)) controller.close();
          },
        };
        this.streams.add(stream);
        signal?.addEventListener("abort", () => stream.end());
        const frame = { type: "connected", message: "SSE connected", data: connected };
        stream.write(`id: ${cursor}\nretry: 1000\ndata: ${JSON.stringify(frame)}\n\n`);
        for (const missed of this.#log.slice(position)) stream.write(missed);
        stream.write(`data: ${JSON.stringify({ type: "caught_up", data: { cursor: this.cursor } })}\n\n`);
      },
      cancel: () => void this.streams.delete(stream),
    });
    return new Response(body, { status: 200, headers: { "Content-Type": "text/event-stream; charset=utf-8" } });
  }
}
