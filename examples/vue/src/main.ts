import { RealtimeService } from "tidings";
import { createApp } from "vue";
import Chat from "./Chat.vue";

const query = new URLSearchParams(location.search);
const me = query.get("as") ?? "ada";
await fetch(`/sign-in/${encodeURIComponent(me)}`, { method: "POST" }); // in the place of your own sign-in

/** One for the page, outside of components: it owns the connection, and asks with the cookie of your sign-in. */
const chat = new RealtimeService({ url: "/api/message" });
chat.connect(me);
createApp(Chat, { chat, other: query.get("with") ?? "ben" }).mount("#app");
