/**
 * Every sentence that the screen says, in one place: a language pack is another object of this shape.
 */
import type { ConnectionStatus } from "../types.js";

const status: Record<ConnectionStatus, string> = {
  idle: "Not connected",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  polling: "Polling",
  offline: "Offline",
  unauthorized: "Signed out",
  refused: "Refused",
  closed: "Disconnected",
};

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

export const words = {
  status,
  connectionLost: "Connection lost.",
  /** The guide's sentence, word for word. */
  polling: "Connection lost. Using polling mode",
  pollingDetail: (seconds: number) => `(checking every ${plural(seconds, "second", "seconds")})`,
  retryIn: (seconds: number, attempt: number) =>
    `Trying again ${seconds > 0 ? `in ${seconds} s` : "now"} (attempt ${attempt}).`,
  sendsAreKept: "What you send is kept and sent later.",
  offline: "You’re offline. Messages are sent when you’re back.",
  unauthorized: "Please sign in again. What you wrote is kept on this device.",
  refused: "Can’t reach your messages: the server refused the connection.",
  reconnect: "Try to reconnect",
  signIn: "Sign in",
  backOnline: "Back online.",

  back: "Back to conversations",
  messagesWith: (name: string) => `Messages with ${name}`,
  you: "You",
  noMessages: "No messages yet",
  sayHello: (name: string) => `Say hello to ${name}.`,
  loadingMessages: "Loading messages…",
  loadingOlder: "Loading older messages…",
  loadFailed: "Could not load messages.",
  tryAgain: "Try again",
  showMore: "Show more",
  showLess: "Show less",
  today: "Today",
  yesterday: "Yesterday",
  newMessages: (count: number | null) =>
    count === null ? "New messages" : plural(count, "new message", "new messages"),
  jumpToNew: (count: number) => `${count} new`,
  jumpToNewName: (count: number) => `${plural(count, "new message", "new messages")}, go to the latest`,
  jumpToLatest: "Go to the latest message",
  typing: (name: string) => `${name} is typing…`,
  activeNow: "Active now",

  more: (name: string) => `More about ${name}`,
  block: (name: string) => `Block ${name}`,
  blockQuestion: (name: string) =>
    `Block ${name}? Neither of you can write to the other until you unblock. ${name} is not told.`,
  blockConfirm: "Block",
  blocked: (name: string) => `You blocked ${name}.`,
  unblock: "Unblock",
  report: (name: string) => `Report ${name}`,
  reportLabel: "What happened?",
  reportHint: "The latest messages of this conversation are sent along.",
  reportSend: "Send report",
  reported: "Your report was sent. Thank you.",
  close: "Close",

  tick: {
    waiting: "Waiting to be sent",
    sending: "Sending",
    cancelling: "Cancelling",
    failed: "Not sent",
    sent: "Sent",
    delivered: "Delivered",
    read: "Read",
  },
  stillSending: "Still sending",
  tryNow: "Try now",
  notSent: "Not sent.",
  retry: "Retry",
  delete: "Delete",

  composer: (name: string) => `Message ${name}`,
  send: "Send",
  bytesLeft: (count: number) => `${plural(count, "byte", "bytes")} left`,
  tooLong: (over: number) => `Too long by ${plural(over, "byte", "bytes")}. Nothing was cut: shorten it to send it.`,

  announce: (name: string, text: string) => `New message from ${name}: ${text}`,
  announceMany: (name: string, count: number) => `${count} new messages from ${name}`,
  announceFailed: (reason: string) => `Message not sent. ${reason}`,

  conversations: "Conversations",
  noConversations: "No messages yet",
  noConversationsHint: "Write to somebody to start a conversation.",
  inboxFailed: "Could not load your conversations.",
  loadMore: "Show more conversations",
  unread: (count: number) => plural(count, "unread message", "unread messages"),
  youPrefix: "You: ",

  newMessage: "New message",
  newMessageLabel: "To whom? Their user id",
  newMessageOpen: "Start",
  cancel: "Cancel",
  suggestions: "People",
  userId: {
    empty: "Type the user id of the person.",
    long: "A user id has at most 128 characters.",
    control: "A user id has no control characters.",
    slash: "A user id has no / or \\.",
    reserved: (id: string) => `“${id}” is not a user id.`,
    self: "That is you. Type the id of somebody else.",
  },
} as const;
