/** The shop's own script: what the address asks for, and shortcuts of its own. */
import { mount } from "/messages/embed.js";

const query = new URLSearchParams(location.search);
const options = JSON.parse(query.get("options") ?? "{}");
window.mount = mount;
window.shortcuts = [];
window.unread = [];
document.addEventListener("keydown", ({ key, target }) => {
  if (!target.closest("input, textarea")) window.shortcuts.push(key);
});
const view = { url: "/api/message", view: "launcher", onUnread: (unread) => window.unread.push(unread), ...options };
if (options !== null) window.chat = mount(view.view === "launcher" ? document.body : document.getElementById("place"), view);
