import { act } from "react";
import { createRoot } from "react-dom/client";
import { RealtimeService } from "tidings";
import { ChatScreen, TidingsProvider } from "tidings/react";
import "tidings/styles.css";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

test("a conversation is drawn", async () => {
  const place = document.body.appendChild(document.createElement("div"));
  const root = createRoot(place);
  const chat = new RealtimeService({ url: "/api/message", storage: "memory" });
  await act(async () =>
    root.render(
      <TidingsProvider client={chat}>
        <ChatScreen chatUserId="ben" chatUserName="Ben Okri" />
      </TidingsProvider>,
    ),
  );
  expect(place.querySelector("textarea")).not.toBeNull();
  expect(place.textContent).toContain("Ben Okri");
  await act(async () => root.unmount());
});
