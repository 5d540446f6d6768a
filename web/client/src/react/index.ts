"use client";

/** React bindings: hooks over the client's state, the chat screen and the list of conversations. Style: `tidings/styles.css`. */
export { TidingsProvider, useTidings } from "./provider.js";
export type { TidingsProviderProps } from "./provider.js";
export { useConnection, useConversation, useInbox, useOutbox, useRealtimeMessages, useTyping } from "./hooks.js";
export type { ConversationActions, RealtimeMessages, UnsentState } from "./hooks.js";
export { ChatScreen } from "./chat-screen.js";
export type { ChatScreenProps } from "./chat-screen.js";
export type { CustomMessage, RenderMessage } from "./message-body.js";
export { ConnectionBanner } from "./banner.js";
export type { ConnectionBannerProps } from "./banner.js";
export { Inbox } from "./inbox.js";
export type { InboxProps } from "./inbox.js";
export { InboxList } from "./inbox-list.js";
export type { InboxListProps } from "./inbox-list.js";
export { nameInSentence } from "./name-in-sentence.js";
export { useSound, useUnread, useUnreadTitle } from "./attention.js";
export { Avatar } from "./avatar.js";
export { english } from "./words/en.js";
export type { Words } from "./words/en.js";
export { counterOf } from "./words/locale.js";
export type { Counter, Forms } from "./words/locale.js";
