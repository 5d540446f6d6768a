import { RealtimeService } from "tidings";

const given = new URLSearchParams(location.hash.slice(1));
const token = given.get("token");

export const peer = given.get("peer") ?? "ben";

/** In a module of its own, so that editing a component does not make another one. */
export const chat = new RealtimeService({ url: "/api/message", getToken: () => token, storage: "memory" });
chat.connect(given.get("me") ?? "ada");

/** For the tests: what the page itself has. */
Object.assign(window, { chat, peer });
