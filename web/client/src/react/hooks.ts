/**
 * State of the client as hooks. Each reads an immutable snapshot through `useSyncExternalStore`; none owns anything.
 */
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useSyncExternalStore, type RefObject } from "react";
import type {
  ConnectionSnapshot,
  ConnectionStatus,
  Conversation,
  ConversationSnapshot,
  InboxSnapshot,
  Message,
  OutboxSnapshot,
  PendingMessage,
  Readable,
} from "../types.js";
import { useTidings } from "./provider.js";

// What a server renders, and the first pass of hydration: constant, as useSyncExternalStore demands.
const SERVER_CONNECTION: ConnectionSnapshot = {
  status: "idle",
  userId: null,
  attempt: 0,
  retryAt: null,
  reason: null,
  pollInterval: 5000,
  textBytesMax: 16384,
  role: "solo",
};
const SERVER_CONVERSATION: ConversationSnapshot = {
  peerId: "",
  peer: null,
  messages: [],
  pending: [],
  watermarks: { read_upto: 0, delivered_upto: 0, peer_read_upto: 0, peer_delivered_upto: 0 },
  loaded: false,
  stored: false,
  loading: true,
  hasOlder: false,
  peerTyping: false,
  peerOnline: null,
  blocked: false,
  error: null,
  errorCode: null,
};
const SERVER_OUTBOX: OutboxSnapshot = { pending: [] };
const SERVER_INBOX: InboxSnapshot = {
  entries: [],
  unread: 0,
  loaded: false,
  loading: true,
  hasMore: false,
  error: null,
  errorCode: null,
};

function useReadable<T>(readable: Readable<T>, onServer: T): T {
  const { subscribe, read, readOnServer } = useMemo(
    () => ({
      subscribe: (fn: () => void) => readable.subscribe(fn),
      read: () => readable.getSnapshot(),
      readOnServer: () => onServer,
    }),
    [readable, onServer],
  );
  return useSyncExternalStore(subscribe, read, readOnServer);
}

/** A ref that always holds the last rendered value, for callbacks that must not be effects' dependencies. */
export function useLatest<T>(value: T): RefObject<T> {
  const ref = useRef(value);
  useLayoutEffectOnClient(() => {
    ref.current = value;
  });
  return ref;
}

/** `useLayoutEffect` without React 18's warning when rendering on a server. */
export const useLayoutEffectOnClient = typeof document === "undefined" ? useEffect : useLayoutEffect;

/** State of the connection, and `reconnect()` for "try again now". */
export function useConnection(): ConnectionSnapshot & { reconnect: () => void } {
  const client = useTidings();
  const snapshot = useReadable(client.connection, SERVER_CONNECTION);
  const reconnect = useCallback(() => client.reconnect(), [client]);
  return useMemo(() => ({ ...snapshot, reconnect }), [snapshot, reconnect]);
}

/** The conversation object of a person and its snapshot, loaded when first used. */
export function useConversationState(peerId: string): { conversation: Conversation; snapshot: ConversationSnapshot } {
  const client = useTidings();
  const conversation = useMemo(() => client.conversation(peerId), [client, peerId]);
  const snapshot = useReadable(conversation, SERVER_CONVERSATION);
  useEffect(() => {
    void conversation.load();
  }, [conversation]);
  return { conversation, snapshot };
}

export type ConversationActions = Pick<
  Conversation,
  "load" | "loadOlder" | "hold" | "send" | "retry" | "discard" | "markRead" | "typing" | "block" | "unblock" | "report"
>;

/** One conversation: its snapshot and what one can do with it. The functions keep their identity. */
export function useConversation(peerId: string): ConversationSnapshot & ConversationActions {
  const { conversation, snapshot } = useConversationState(peerId);
  const actions = useMemo<ConversationActions>(
    () => ({
      load: () => conversation.load(),
      loadOlder: (count) => conversation.loadOlder(count),
      hold: () => conversation.hold(),
      send: (text, options) => conversation.send(text, options),
      retry: (clientId) => conversation.retry(clientId),
      discard: (clientId) => conversation.discard(clientId),
      markRead: (upto) => conversation.markRead(upto),
      typing: () => conversation.typing(),
      block: () => conversation.block(),
      unblock: () => conversation.unblock(),
      report: (reason, seq) => conversation.report(reason, seq),
    }),
    [conversation],
  );
  return useMemo(() => ({ ...snapshot, ...actions }), [snapshot, actions]);
}

/** The list of conversations, loaded when first used. */
export function useInbox(): InboxSnapshot & { load: () => Promise<void>; loadMore: () => Promise<void> } {
  const { inbox } = useTidings();
  const snapshot = useReadable(inbox, SERVER_INBOX);
  useEffect(() => {
    void inbox.load();
  }, [inbox]);
  return useMemo(
    () => ({ ...snapshot, load: () => inbox.load(), loadMore: () => inbox.loadMore() }),
    [inbox, snapshot],
  );
}

export interface UnsentState extends OutboxSnapshot {
  /** Those of `pending` that were refused, or could not be sent for 48 hours. */
  failed: readonly PendingMessage[];
  retry: (clientId: string) => void;
  discard: (clientId: string) => void;
  retryAll: () => void;
  discardAll: () => void;
}

/** What is not acknowledged, over all conversations; `retryAll` and `discardAll` are about what failed. */
export function useOutbox(): UnsentState {
  const { outbox } = useTidings();
  const { pending } = useReadable(outbox, SERVER_OUTBOX);
  return useMemo(() => {
    const failed = pending.filter((message) => message.state === "failed");
    const retry = (clientId: string) => outbox.retry(clientId);
    const discard = (clientId: string) => outbox.discard(clientId);
    const each = (act: (clientId: string) => void) => () => failed.forEach((message) => act(message.client_id));
    return { pending, failed, retry, discard, retryAll: each(retry), discardAll: each(discard) };
  }, [outbox, pending]);
}

/** Whether the other is typing, and `typing()` to tell that the user is; loads nothing. */
export function useTyping(peerId: string): { peerTyping: boolean; typing: () => void } {
  const client = useTidings();
  const conversation = useMemo(() => client.conversation(peerId), [client, peerId]);
  const { peerTyping } = useReadable(conversation, SERVER_CONVERSATION);
  return useMemo(() => ({ peerTyping, typing: () => conversation.typing() }), [conversation, peerTyping]);
}

const NOBODY: Readable<ConversationSnapshot> = {
  subscribe: () => () => undefined,
  getSnapshot: () => SERVER_CONVERSATION,
};

/** Whether this person is known to be online, as where a screen shows them; it asks nobody. Null: of nobody. */
export function useIsOnline(peerId: string | null): boolean {
  const client = useTidings();
  const conversation = useMemo(() => (peerId === null ? NOBODY : client.conversation(peerId)), [client, peerId]);
  return useReadable(conversation, SERVER_CONVERSATION).peerOnline === true;
}

export interface RealtimeMessages extends ConversationActions {
  /** What the server has, by `seq`, each once. */
  messages: readonly Message[];
  /** What it has not acknowledged, or has refused; to be shown after `messages`. */
  pending: readonly PendingMessage[];
  status: ConnectionStatus;
  isConnected: boolean;
  loading: boolean;
  hasOlder: boolean;
  peerTyping: boolean;
  error: string | null;
  errorCode: string | null;
  reconnect: () => void;
}

/**
 * The messages between `userId` and `chatUserId`, live.
 *
 * Connects the client as `userId` when it is not yet; it does not disconnect when the component goes, for other
 * components may read the same client.
 */
export function useRealtimeMessages(userId: string, chatUserId: string): RealtimeMessages {
  const client = useTidings();
  const { status, reconnect } = useConnection();
  const conversation = useConversation(chatUserId);
  useEffect(() => {
    client.connect(userId);
  }, [client, userId]);
  return useMemo(
    () => ({
      messages: conversation.messages,
      pending: conversation.pending,
      status,
      isConnected: status === "connected",
      loading: conversation.loading,
      hasOlder: conversation.hasOlder,
      peerTyping: conversation.peerTyping,
      error: conversation.error,
      errorCode: conversation.errorCode,
      load: conversation.load,
      loadOlder: conversation.loadOlder,
      hold: conversation.hold,
      send: conversation.send,
      retry: conversation.retry,
      discard: conversation.discard,
      markRead: conversation.markRead,
      typing: conversation.typing,
      block: conversation.block,
      unblock: conversation.unblock,
      report: conversation.report,
      reconnect,
    }),
    [conversation, status, reconnect],
  );
}
