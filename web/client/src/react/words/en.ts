/**
 * Every sentence that the screen says. A language pack is another object of this shape; a host that wants one word changed
 * gives `{ ...english, send: "Post" }` to `TidingsProvider`.
 *
 * Names and texts of people come as arguments, and stand in a sentence as they are: names so that they turn nothing around. No sentence holds markup.
 */
import { counterOf } from "./locale.js";

const { count } = counterOf("en");

/** How far a message of the user has come. */
export type Tick = "waiting" | "sending" | "cancelling" | "failed" | "sent" | "delivered" | "read";

const tick: Record<Tick, string> = {
  waiting: "Waiting to be sent",
  sending: "Sending",
  cancelling: "Cancelling",
  failed: "Not sent",
  sent: "Sent",
  delivered: "Delivered",
  read: "Read",
};

/** Why there is no connection, by `ConnectionSnapshot.reason`; "" where there is nothing to say that helps. */
function cause(reason: string | null): string {
  switch (reason) {
    case "network":
    case "end":
      return "The network or the server is away.";
    case "timeout":
    case "silent":
    case "mute":
      return "The server does not answer.";
    case "draining":
      return "The server is restarting.";
    case "status_429":
    case "status_503":
      return "The server is busy.";
    case "replaced":
      return "Too many windows are open.";
    case "token":
      return "Your sign-in could not be renewed.";
    case "violation":
      return "The server has a problem.";
    case null:
      return "";
    default:
      return /^status_5/.test(reason) ? "The server has a problem." : "";
  }
}

/** Of problems whose own sentence is for developers, or that have none. */
function refusal(code: string, told: string): string {
  switch (code) {
    case "unauthorized":
    case "signed_out":
      return "Please sign in.";
    case "not_yours":
      return "You are signed in as somebody else now. Reload to go on.";
  }
  return cause(code) || (/^status_/.test(code) ? "The server refused it." : told);
}

export const english = {
  /** BCP 47: what dates, numbers and a screen reader's voice go by. */
  lang: "en",
  dir: "ltr" as "ltr" | "rtl",

  connectionLost: "Connection lost.",
  cause,
  /** The guide's sentence, word for word. */
  polling: "Connection lost. Using polling mode",
  pollingDetail: (seconds: number) =>
    `(checking every ${count(seconds, { one: "# second", other: "# seconds" })}: messages arrive a little later)`,
  /** Above the list of conversations, where there is room for few words. */
  ownState: {
    reconnecting: "Reconnecting… what you send is kept",
    polling: "Connection lost. Using polling mode",
    offline: "You’re offline",
    unreachable: "Can’t reach the server",
    unauthorized: "Please sign in again",
    signedOut: "Sign in to your messages",
    otherUser: "Signed in as somebody else",
    refused: "The server refused the connection",
    closed: "Disconnected",
  },
  retryIn: (seconds: number, attempt: number) =>
    `Trying again ${seconds > 0 ? `in ${seconds} s` : "now"} (attempt ${attempt}).`,
  sendsAreKept: "What you send is kept and sent later.",
  offline: "You’re offline. Messages are sent when you’re back.",
  unauthorized: "Please sign in again. What you wrote is kept on this device.",
  unreachable: "Can’t reach the server.",
  textIsSafe: "What you wrote is safe on this device.",
  refused: "Can’t reach your messages: the server refused the connection. What you wrote is safe on this device.",
  /** Somebody else has signed in in this browser. */
  otherUser: "You are signed in as somebody else now. Reload to go on. What was not sent waits here for its sender.",
  reload: "Reload",
  reconnect: "Try to reconnect",
  signIn: "Sign in",
  backOnline: (news: number) =>
    news === 0 ? "Back online." : `Back online. ${count(news, { one: "# new message.", other: "# new messages." })}`,

  back: "Back to conversations",
  messagesWith: (name: string) => `Messages with ${name}`,
  you: "You",
  noMessages: "This is the beginning of your conversation.",
  sayHello: (name: string) => `Say hello to ${name}`,
  loadingMessages: "Loading messages…",
  loadingOlder: "Loading older messages…",
  loadFailed: "Could not load messages.",
  tryAgain: "Try again",
  deleted: "Message deleted",
  showMore: "Show more",
  showLess: "Show less",
  today: "Today",
  yesterday: "Yesterday",
  newMessages: (number: number | null) =>
    number === null ? "New messages" : count(number, { one: "# new message", other: "# new messages" }),
  jumpToNew: (number: number) => `${number} new`,
  jumpToNewName: (number: number) =>
    `${count(number, { one: "# new message", other: "# new messages" })}, go to the latest`,
  jumpToLatest: "Go to the latest message",
  typing: (name: string) => `${name} is typing…`,
  /** What the other one does, below their name. */
  online: "online",
  statusTyping: "typing…",
  statusBlocked: "blocked",
  /** The name of a message: "Ben, 14:02: text, Read". `state` is "" for somebody else's. */
  messageName: (who: string, time: string, text: string, state: string) =>
    `${who}, ${time}: ${text}${state === "" ? "" : `, ${state}`}`,

  /** What can be done with one message. */
  actions: "Actions",
  copy: "Copy text",
  copied: "Copied.",
  copyFailed: "The browser did not let the text be copied.",
  reportMessage: "Report this message",

  more: (name: string) => `More about ${name}`,
  block: (name: string) => `Block ${name}`,
  blockQuestion: (name: string) =>
    `Block ${name}? Neither of you can write to the other until you unblock. ${name} is not told.`,
  blockConfirm: "Block",
  blocked: (name: string) => `You blocked ${name}.`,
  /** In the list of conversations. */
  blockedMark: "Blocked",
  unblock: "Unblock",
  report: (name: string) => `Report ${name}`,
  reportLabel: "What happened?",
  reportHint: "The latest messages of this conversation are sent along.",
  reportMessageHint: (text: string) => `Sent along: “${text}” and what was said before it.`,
  reportSend: "Send report",
  reported: "Your report was sent. Thank you.",
  close: "Close",

  tick,
  stillSending: "Still sending",
  tryNow: "Try now",
  notSent: "Not sent.",
  retry: "Retry",
  delete: "Delete",
  notSentMany: (number: number) => `${number} not sent`,
  retryAll: "Retry all",
  deleteAll: "Delete all",
  /**
   * Why a message was refused, or something could not be loaded, by the problem's code (docs/run/problems.md) or by what happened
   * instead of an answer (`errorCode`); `told` is the server's own sentence, in English, or one for developers.
   */
  refusal,
  /** In the composer's place, when the latest message was refused because of who one is. */
  cannotWrite: (name: string) => `You cannot write to ${name} at the moment.`,
  writeAgain: "Write again",

  composer: (name: string) => `Message ${name}`,
  send: "Send",
  bytesLeft: (number: number) => `${count(number, { one: "# byte", other: "# bytes" })} left`,
  tooLong: (over: number) =>
    `Too long by ${count(over, { one: "# byte", other: "# bytes" })}. Nothing was cut: shorten it to send it.`,

  announce: (name: string, text: string) => `New message from ${name}: ${text}`,
  announceMany: (name: string, number: number) => `${number} new messages from ${name}`,
  announceFailed: (reason: string) => `Message not sent. ${reason}`,

  conversations: "Conversations",
  noConversations: "No messages yet",
  noConversationsHint: "Write to somebody to start a conversation.",
  inboxFailed: "Could not load your conversations.",
  loadMore: "Show more conversations",
  unread: (number: number) => count(number, { one: "# unread message", other: "# unread messages" }),
  badge: (number: number) => (number > 99 ? "99+" : String(number)),
  youPrefix: "You: ",
  draftPrefix: "Draft: ",
  notSentPrefix: "Not sent: ",
  loadingConversations: "Loading conversations…",
  search: "Search",
  searchLabel: "Search people and conversations",
  clear: "Clear",
  filter: "Filter",
  filterAll: "All",
  filterUnread: "Unread",
  allRead: "All read",
  allReadHint: "Nothing is waiting for you.",
  showAll: "Show all",
  nobodyFound: (name: string) => `Nobody called “${name}”`,
  nobodyFoundHint: "Neither in your conversations nor among people.",
  clearSearch: "Clear the search",
  people: "People",
  listWidth: "Width of the list of conversations",
  chooseTitle: "Your messages",
  noneChosen: "No conversation chosen",
  chooseHint: (keys: string) => `Choose a conversation, or find somebody with ${keys}.`,
  selfTitle: "That is you",
  nobodyTitle: "Nobody has this address",
  selfHint: "A conversation needs somebody else.",
  /** Of the page, while something is unread. */
  titleWithUnread: (number: number, title: string) => `(${number > 99 ? "99+" : number}) ${title}`,

  /** The button in a page's corner, and the panel that it opens. */
  messages: "Messages",
  messagesUnread: (number: number) => `Messages, ${number} unread`,
  closeMessages: "Close messages",
  /** Where nobody is signed in. */
  signInFirst: "Sign in to your messages",

  newMessage: "New message",
  newMessageLabel: "To whom? Name or user id",
  /** The same where nobody can be found by name. */
  toWhomById: "To whom? A user id",
  /** The same where no user id may be typed. */
  toWhom: "To whom? Search by name",
  knownPeople: "You have written with",
  everybody: "Everybody",
  peopleFound: (number: number) => count(number, { one: "# person", other: "# people" }),
  searchFailed: "Could not search among everybody.",
  searchLater: "The search is busy. It goes on by itself in a moment.",
  findSomebody: "Whom do you look for?",
  findSomebodyHint: "Type a name, or the beginning of one.",
  knownPeopleHint: "Here you find people you have written with.",
  nobodyYet: "Nobody to choose yet",
  nobodyYetHint: "Somebody who writes to you appears here.",
  writeTo: (id: string) => `Write to “${id}”`,
  cancel: "Cancel",
  userId: {
    empty: "Type the name or the user id of the person.",
    /** Where nobody can be found by name. */
    only: "Type the user id of the person, exactly as it is.",
    long: "A user id has at most 128 characters.",
    control: "A user id has no control characters.",
    slash: "A user id has no / or \\.",
    reserved: (id: string) => `“${id}” is not a user id.`,
    self: "That is you. Type the id of somebody else.",
  },
};

export type Words = typeof english;
