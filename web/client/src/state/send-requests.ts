/** The two questions that the outbox asks the server: take this message, and do you have it. */
import { ServerProblem, type Api } from "../http/api.js";
import type { Connection } from "../connection/connection.js";
import type { Message, PendingMessage } from "../types.js";
import { readHistory, readSent } from "../wire/shapes.js";
import type { Log } from "./log.js";

/** Among the latest this many messages of a conversation one is looked for that was taken back. */
const FIND_LIMIT = 100;

export interface SendParts {
  api: Api;
  log: Log;
  connection: Connection;
}

/** Send; answers the message that the server has made of it. */
export async function send(
  { api, log, connection }: SendParts,
  pending: PendingMessage,
  signal: AbortSignal,
): Promise<Message> {
  connection.check();
  const { client_id, recipient_id: recipientId, text, message_type } = pending;
  const body = { recipientId, text, message_type, client_id };
  try {
    return readSent(await api.post(api.address(["send"]), body, signal), pending, api.userId);
  } catch (error) {
    // Blocked on another device, of which no event tells.
    if (error instanceof ServerProblem && error.code === "blocked_by_you") {
      log.tell({ type: "blocked", peerId: recipientId, blocked: true });
    }
    throw error;
  }
}

/** The message that the server has under this `client_id`, if any. */
export async function find(
  { api }: SendParts,
  { recipient_id, client_id }: PendingMessage,
  signal: AbortSignal,
): Promise<Message | null> {
  const body = await api.get(api.address([recipient_id], { limit: FIND_LIMIT }), signal);
  return readHistory(body, recipient_id).messages.find((one) => one.client_id === client_id) ?? null;
}
