// The guide's server, written from its description: a registry of open responses per user in this process, frames
// {type, data} without ids, a heartbeat, socket timeouts off, messages kept and pushed. Its database is a file here.
import { randomUUID } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import express from "express";

const HEARTBEAT_INTERVAL_MS = 30_000;
const { PORT, MESSAGES_FILE } = process.env;

const messages = existsSync(MESSAGES_FILE)
  ? readFileSync(MESSAGES_FILE, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line))
  : [];
const connections = new Map();

function push(userId, type, data) {
  for (const response of connections.get(userId) ?? []) response.write(`data: ${JSON.stringify({ type, data })}\n\n`);
}

const router = express.Router();

router.use((request, response, next) => {
  request.userId = request.get("X-User-Id");
  if (request.userId) next();
  else response.status(401).json({ success: false, message: "Unauthorized" });
});

router.get("/sse/:userId", (request, response) => {
  const { userId } = request.params;
  request.socket.setTimeout(0);
  request.socket.setNoDelay(true);
  request.socket.setKeepAlive(true);
  response.writeHead(200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    Connection: "keep-alive",
    "X-Accel-Buffering": "no",
  });
  response.write(`data: ${JSON.stringify({ type: "connected", message: "SSE connected", data: { userId } })}\n\n`);

  if (!connections.has(userId)) connections.set(userId, new Set());
  connections.get(userId).add(response);
  const heartbeat = setInterval(
    () => response.write(`data: ${JSON.stringify({ type: "heartbeat", data: { at: Date.now() } })}\n\n`),
    HEARTBEAT_INTERVAL_MS,
  );

  const forget = () => {
    clearInterval(heartbeat);
    connections.get(userId)?.delete(response);
    if (connections.get(userId)?.size === 0) connections.delete(userId);
  };
  request.on("close", forget);
  response.on("error", forget);
});

router.post("/send", express.json(), (request, response) => {
  const { recipientId, text, message_type = "text" } = request.body ?? {};
  if (!recipientId || !text) {
    response.status(400).json({ success: false, message: "Missing required fields" });
    return;
  }
  const message = {
    _id: randomUUID(),
    sender_id: request.userId,
    recipient_id: recipientId,
    text,
    message_type,
    sent: true,
    delivered: connections.has(recipientId),
    read: false,
    createdAt: new Date().toISOString(),
  };
  messages.push(message);
  appendFileSync(MESSAGES_FILE, `${JSON.stringify(message)}\n`);
  push(recipientId, "new_message", message);
  response.status(201).json({ success: true, message });
});

router.get("/:chatUserId", (request, response) => {
  const pair = new Set([request.userId, request.params.chatUserId]);
  const found = messages.filter(({ sender_id, recipient_id }) => pair.has(sender_id) && pair.has(recipient_id));
  response.json({ success: true, messages: found });
});

express().use("/api/message", router).listen(Number(PORT), "127.0.0.1");
