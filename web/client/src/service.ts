/**
 * The service that an application holds: one per page, made outside of any component. Its public face; `state/session.ts`
 * is what works behind it.
 */
import { forgetOthers, keptUsers } from "./device/others.js";
import { Session } from "./state/session.js";
import type {
  ConnectionSnapshot,
  Conversation,
  FoundPerson,
  Inbox,
  Message,
  Readable,
  RealtimeOptions,
  UnsentMessages,
} from "./types.js";

/** What `on` gives its listeners, by event. Other frames come under their own type with their `data`. */
export interface RealtimeEvents {
  connected: { userId: string; [member: string]: unknown };
  message: Message;
  reconnecting: { attempt: number; delay_ms: number; reason: string };
  connection_failed: { message: string; polling: boolean };
}

export class RealtimeService {
  readonly connection: Readable<ConnectionSnapshot>;
  readonly inbox: Inbox;
  /** What is not acknowledged, over all conversations. */
  readonly outbox: UnsentMessages;

  readonly #session: Session;

  constructor(options: RealtimeOptions) {
    this.#session = new Session(options);
    this.connection = this.#session.connection;
    this.inbox = this.#session.inbox;
    this.outbox = this.#session.outbox;
  }

  /**
   * Connect as `userId`, or as whoever the token says.
   *
   * Connected already as the same user: nothing happens, so that it may be called as often as components mount. As
   * another user: everything of the former one is forgotten first, here and on the device, but for what they have not sent, which waits
   * there until they connect again.
   */
  connect(userId?: string): void {
    this.#session.open(userId);
  }

  /** End the connection and send nothing any more; what is unsent and what is kept stays for the next `connect`. */
  disconnect(): void {
    this.#session.close();
  }

  /**
   * Disconnect and forget the user: messages, drafts and what is unsent, in this page, in the other tabs of this browser
   * that are connected as the same user (they get the event `signed_out`), and on the device. Resolves when it is done.
   *
   * From then on the status is `unauthorized`, in those tabs too, and nothing is asked or sent before `connect`.
   */
  signOut(): Promise<void> {
    return this.#session.signOut();
  }

  /**
   * Delete what this device keeps of users of this API other than this one: of those who left without signing out. What they have not
   * sent, drafts included, stays for them, unless `unsent` says that it is to go, too: ask before. Who is connected in another tab is spared, which
   * only a browser with Web Locks can tell; without them nothing is deleted.
   */
  forgetOthers(userId: string, { unsent = false }: { unsent?: boolean } = {}): Promise<void> {
    return forgetOthers(this.#session, userId, unsent);
  }

  /** The users of this API of whom this device keeps something; null where the browser does not tell. */
  keptUsers(): Promise<readonly string[] | null> {
    return keptUsers(this.#session);
  }

  /** Try now instead of after the wait; also begins again after `refused`, but not after a sign-out. At most once a second. */
  reconnect(): void {
    this.#session.reconnect();
  }

  /** Position in the log after the last event that was applied: what came before it, this page has. Null until known. */
  get cursor(): string | null {
    return this.#session.log.cursor;
  }

  isConnected(): boolean {
    return this.connection.getSnapshot().status === "connected";
  }

  /** Listen; answers the undo. A listener that throws is reported and disturbs nobody. */
  on<K extends keyof RealtimeEvents>(event: K, fn: (payload: RealtimeEvents[K]) => void): () => void;
  on(event: string, fn: (payload: unknown) => void): () => void;
  on(event: string, fn: (payload: never) => void): () => void {
    return this.#session.listeners.on(event, fn);
  }

  /** Call the listeners of this page; nothing is sent. */
  emit(event: string, payload: unknown): void {
    this.#session.listeners.emit(event, payload);
  }

  /** The conversation with this person; the same object each time. */
  conversation(peerId: string): Conversation {
    return this.#session.conversations.of(peerId);
  }

  /**
   * The people whom the host finds by what is typed, 1 to 64 characters; at most 20.
   *
   * Rejects with an error that has the answer's `status` (404: the host offers no search) and `retryAfterS`, or without them
   * when there was no answer.
   */
  searchPeople(text: string, signal = new AbortController().signal): Promise<readonly FoundPerson[]> {
    return this.#session.searchPeople(text, signal);
  }
}
