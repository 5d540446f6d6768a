import { useEffect, useRef } from "react";
import type { ConnectionSnapshot, ConversationSnapshot, Notice } from "../types.js";
import { useLatest } from "./hooks.js";
import { useTidings } from "./provider.js";
import { words } from "./words.js";

/**
 * Calls `onNotice` once for each failure that happens while the screen shows the conversation; what had failed before is
 * on the screen, and no news.
 */
export function useNotices(
  snapshot: ConversationSnapshot,
  connection: ConnectionSnapshot,
  onNotice: (notice: Notice) => void,
): void {
  const client = useTidings();
  const tell = useLatest(onNotice);

  const failedBefore = useRef<ReadonlySet<string> | null>(null);
  useEffect(() => {
    const failed = snapshot.pending.filter((message) => message.state === "failed");
    const before = failedBefore.current;
    failedBefore.current = new Set(failed.map((message) => message.client_id));
    if (!before) return;
    for (const message of failed) {
      if (!before.has(message.client_id)) {
        tell.current({ kind: "send_failed", message: message.error?.message ?? words.notSent });
      }
    }
  }, [snapshot.pending, tell]);

  const { error } = snapshot;
  useEffect(() => {
    if (error !== null) tell.current({ kind: "load_failed", message: `${words.loadFailed} ${error}` });
  }, [error, tell]);

  const signedOut = connection.status === "unauthorized";
  useEffect(() => {
    if (signedOut) tell.current({ kind: "unauthorized", message: words.unauthorized });
  }, [signedOut, tell]);

  useEffect(
    () => client.on("connection_failed", ({ message }) => tell.current({ kind: "connection_failed", message })),
    [client, tell],
  );
}
