import { useEffect, useRef } from "react";
import type { ConnectionSnapshot, ConversationSnapshot, Notice, PendingMessage } from "../../types.js";
import { useLatest } from "../hooks.js";
import { useTidings } from "../provider.js";
import { useWords } from "../words/context.js";
import type { Words } from "../words/en.js";

function reasonOf({ error }: PendingMessage, words: Words): string {
  return error === null ? words.notSent : words.refusal(error.code, error.message);
}

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
  // By a ref: a failure is no news again because the language changes.
  const words = useLatest(useWords());
  const tell = useLatest(onNotice);

  const failedBefore = useRef<ReadonlySet<string> | null>(null);
  useEffect(() => {
    const failed = snapshot.pending.filter((message) => message.state === "failed");
    const before = failedBefore.current;
    failedBefore.current = new Set(failed.map((message) => message.client_id));
    if (!before) return;
    for (const message of failed) {
      if (!before.has(message.client_id)) {
        tell.current({ kind: "send_failed", message: reasonOf(message, words.current) });
      }
    }
  }, [snapshot.pending, tell, words]);

  const { error, errorCode } = snapshot;
  useEffect(() => {
    if (error === null) return;
    const { loadFailed, refusal } = words.current;
    tell.current({ kind: "load_failed", message: `${loadFailed} ${refusal(errorCode ?? "", error)}` });
  }, [error, errorCode, tell, words]);

  const signedOut = connection.status === "unauthorized";
  useEffect(() => {
    if (signedOut) tell.current({ kind: "unauthorized", message: words.current.unauthorized });
  }, [signedOut, tell, words]);

  useEffect(
    () =>
      client.on("connection_failed", ({ polling }) => {
        const { polling: slow, refused, otherUser, unreachable } = words.current;
        const { status, reason } = client.connection.getSnapshot();
        const failed = status !== "refused" ? unreachable : reason === "not_yours" ? otherUser : refused;
        tell.current({ kind: "connection_failed", message: polling ? slow : failed });
      }),
    [client, tell, words],
  );
}
