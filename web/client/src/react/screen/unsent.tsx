import type { ReactNode } from "react";
import type { Conversation, PendingMessage } from "../../types.js";
import { AlertIcon } from "../icons.js";
import { useWords } from "../words/context.js";

/** One has its own buttons in its place; from two on it is work. */
const FROM = 2;

interface UnsentProps {
  pending: readonly PendingMessage[];
  conversation: Conversation;
  /** The buttons have done their work and are gone. */
  onDone: () => void;
}

/** In the place of the banner, while there is none: what was refused, all at once. */
export function Unsent({ pending, conversation, onDone }: UnsentProps): ReactNode {
  const words = useWords();
  const failed = pending.filter((message) => message.state === "failed");
  if (failed.length < FROM) return null;
  const each = (act: (clientId: string) => void) => () => {
    for (const message of failed) act(message.client_id);
    onDone();
  };
  return (
    <div className="tidings-banner" data-kind="unsent">
      <p>
        <AlertIcon />
        <strong>{words.notSentMany(failed.length)}</strong>
      </p>
      <span className="tidings-banner-actions">
        <button type="button" className="tidings-link" onClick={each((id) => conversation.retry(id))}>
          {words.retryAll}
        </button>
        <button type="button" className="tidings-link" onClick={each((id) => conversation.discard(id))}>
          {words.deleteAll}
        </button>
      </span>
    </div>
  );
}
