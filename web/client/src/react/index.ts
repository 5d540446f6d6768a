"use client";

/** React bindings: hooks over the client's state, the chat screen and the list of conversations. Style: `tidings/styles.css`. */
export { TidingsProvider, useTidings } from "./provider.js";
export type { TidingsProviderProps } from "./provider.js";
export { useConnection, useConversation, useInbox, useOutbox, useRealtimeMessages, useTyping } from "./hooks.js";
export type { ConversationActions, RealtimeMessages, UnsentState } from "./hooks.js";
export { ChatScreen } from "./screen/chat-screen.js";
export type { ChatScreenProps } from "./screen/chat-screen.js";
export type { CustomMessage, RenderMessage } from "./thread/message-body.js";
export { ConnectionBanner } from "./parts/banner.js";
export type { ConnectionBannerProps } from "./parts/banner.js";
export { Inbox } from "./screen/inbox.js";
export type { InboxProps } from "./screen/inbox.js";
export { ChatLauncher } from "./launcher/chat-launcher.js";
export type { ChatLauncherHandle, ChatLauncherProps } from "./launcher/chat-launcher.js";
export { InboxList } from "./inbox/inbox-list.js";
export type { InboxListProps } from "./inbox/inbox-list.js";
export { nameInSentence } from "./words/name-in-sentence.js";
export { useSound, useUnread, useUnreadTitle } from "./attention.js";
export { useBackCloses } from "./parts/back-closes.js";
export { Avatar } from "./parts/avatar.js";
export { english } from "./words/en.js";
export type { Words } from "./words/en.js";
export { counterOf } from "./words/locale.js";
export type { Counter, Forms } from "./words/locale.js";
