/**
 * What a thread shows of a conversation: which of its messages, the unread line, and where it stands.
 *
 * The unread line is fixed when the conversation opens: it must not move while one reads. It goes when the user sends or
 * leaves; a screen that is shown again (React's `Activity`) opens anew where it followed, and stays where it did not.
 */
import { useCallback, useEffect, useMemo, useState } from "react";
import type { Conversation, ConversationSnapshot, Inbox } from "../../types.js";
import { usePrinting } from "./printing.js";
import { useTidings } from "../provider.js";
import { rowsOf, unreadOf, type Row, type Unread } from "./rows.js";
import { useThreadScroll, type ThreadScroll } from "./thread-scroll.js";
import { around, placeOfSeq, rangeOf, type Window } from "./thread-window.js";

/** A conversation opens at its first unread message; where that is further back than so many, at the first of these. */
const UNREAD_LOADED_MAX = 500;
/** How long a screen that is hidden or gone can come back to what it had loaded. */
const HOLD_MS = 5 * 60_000;

export interface Thread {
  rows: readonly Row[];
  scroll: ThreadScroll;
  /** Nothing is shown yet: it is loading. */
  opening: boolean;
  /** The first message that there is is in the document, and the last one. */
  hasStart: boolean;
  hasEnd: boolean;
  /** How many messages are unread, those included that are not loaded. */
  newCount: number;
  /** The message with this `seq` was seen. */
  seen: (seq: number) => void;
  /** Load all that there is; it stays for some minutes. */
  loadAll: () => Promise<void>;
  /** An own message was queued: the unread line goes, and the list follows its end. */
  sent: () => void;
}

function unreadHere({ peerId, messages, watermarks }: ConversationSnapshot): number {
  return messages.filter((one) => one.sender_id === peerId && one.seq > watermarks.read_upto).length;
}

/**
 * How many messages before the loaded ones may be unread too. `unread`: how many are in all, own ones not counted, where the
 * list of conversations has told.
 */
function missingOf(snapshot: ConversationSnapshot, unread: number | undefined): number {
  const oldest = snapshot.messages[0];
  if (!oldest || !snapshot.hasOlder) return 0;
  if (unread !== undefined && unread <= unreadHere(snapshot)) return 0;
  return Math.max(0, oldest.seq - 1 - snapshot.watermarks.read_upto);
}

/** How many of them to wait for; 0 also where they could not be loaded. */
function wantedOf(snapshot: ConversationSnapshot, unread: number | undefined): number {
  if (snapshot.error !== null) return 0;
  return Math.max(0, Math.min(missingOf(snapshot, unread), UNREAD_LOADED_MAX - snapshot.messages.length));
}

function unreadInList(inbox: Inbox, peerId: string): number | undefined {
  return inbox.getSnapshot().entries.find((entry) => entry.user.id === peerId)?.unread;
}

export function useThread(conversation: Conversation, snapshot: ConversationSnapshot): Thread {
  const { inbox } = useTidings();
  const { peerId, messages, pending, watermarks, hasOlder, peerTyping, loaded, stored } = snapshot;
  // Undefined: not known yet.
  const [unread, setUnread] = useState<Unread | null | undefined>(undefined);
  const [window, setWindow] = useState<Window | null>(null);
  const [pinned, setPinned] = useState(true);
  const [isShown, setShown] = useState(false);
  const [visit, setVisit] = useState(0);

  const listed = unreadInList(inbox, peerId);
  const wanted = unread === undefined && loaded && !stored ? wantedOf(snapshot, listed) : 0;
  if (unread === undefined && loaded && !stored && wanted === 0) {
    const found = unreadOf(snapshot);
    setUnread(found && { ...found, listed });
    if (found && placeOfSeq(messages, found.after + 1) < rangeOf(messages, window, pinned).start) {
      setWindow(around(messages, found.after + 1));
    }
  }
  // What was written while nothing could be loaded is seen all the same.
  if (!isShown && (pending.length > 0 || (loaded && wanted === 0))) setShown(true);
  useEffect(() => {
    if (wanted > 0) void conversation.loadOlder(wanted);
  }, [conversation, wanted]);

  // Paper has no window: all that is loaded is printed.
  const isPrinting = usePrinting();
  const { start, end } = isPrinting ? { start: 0, end: messages.length } : rangeOf(messages, window, pinned);
  const range = useMemo(() => ({ start, end }), [start, end]);
  const rows = useMemo(
    () => rowsOf({ peerId, messages, pending, watermarks, hasOlder }, unread ?? null, { start, end }),
    [peerId, messages, pending, watermarks, hasOlder, unread, start, end],
  );
  const content = useMemo(() => ({ rows, peerTyping }), [rows, peerTyping]);
  const hasEnd = end === messages.length;

  const scroll = useThreadScroll({
    messages,
    range,
    window,
    setWindow,
    pinned,
    setPinned,
    ready: isShown,
    fresh: unread !== undefined,
    visit,
    onReturn: () => {
      setUnread(undefined);
      setVisit(visit + 1);
    },
    // Where the end is not in the document, what comes there moves nothing.
    lastKey: hasEnd ? rows.at(-1)?.key : undefined,
    content,
    onNearTop: () => {
      const { hasOlder: more, loading, error } = conversation.getSnapshot();
      if (more && !loading && error === null) void conversation.loadOlder();
    },
  });

  useEffect(() => {
    if (pinned) return;
    const release = conversation.hold();
    return () => void setTimeout(release, HOLD_MS);
  }, [conversation, pinned]);

  // A receipt speaks for all that came before: not while some of that was never loaded, until the reader has gone to the end.
  const seen = useCallback(
    (seq: number) => {
      const now = conversation.getSnapshot();
      const newest = now.messages.filter((one) => one.sender_id === peerId).at(-1);
      if (seq >= (newest?.seq ?? 0) || missingOf(now, unreadInList(inbox, peerId)) === 0) conversation.markRead(seq);
    },
    [conversation, inbox, peerId],
  );
  const newCount = missingOf(snapshot, listed) > 0 && listed !== undefined ? listed : unreadHere(snapshot);

  const { toEnd } = scroll;
  const loadAll = useCallback(async () => {
    const { messages: loaded, hasOlder: more } = conversation.getSnapshot();
    const oldest = loaded[0];
    const release = conversation.hold();
    try {
      if (more && oldest) await conversation.loadOlder(oldest.seq - 1);
    } finally {
      setTimeout(release, HOLD_MS);
    }
  }, [conversation]);
  const sent = useCallback(() => {
    setUnread(null);
    toEnd(false);
  }, [toEnd]);

  const hasStart = start === 0 && !hasOlder;
  return { rows, scroll, opening: !isShown, hasStart, hasEnd, newCount, seen, loadAll, sent };
}
