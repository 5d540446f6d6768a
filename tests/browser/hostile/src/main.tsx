import { createRoot } from "react-dom/client";
import { RealtimeService } from "tidings";
import { Inbox, TidingsProvider } from "tidings/react";

const user = new URLSearchParams(location.search).get("as") ?? "ada";
const chat = new RealtimeService({ url: "/api/message", getToken: () => user, storage: "memory" });
chat.connect(user);

createRoot(document.getElementById("place")!).render(
  <TidingsProvider client={chat}>
    <Inbox
      chatUserId="ben"
      onOpen={() => {}}
      onClose={() => {}}
      hrefFor={(id) => `#${id}`}
      suggestions={[{ id: "chloe", name: "Chloe", avatar_url: null }]}
      above={<p id="slot">The host's own words.</p>}
    />
  </TidingsProvider>,
);
