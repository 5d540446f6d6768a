"use client";

import { useRouter, useSearchParams } from "next/navigation";
import { useEffect, type ReactNode } from "react";
import { RealtimeService } from "tidings";
import { Inbox, TidingsProvider } from "tidings/react";

/** One for the page, outside of components: it owns the connection. On the server it does nothing. */
const chat = new RealtimeService({
  url: "/api/message",
  getToken: async () => {
    const answer = await fetch("/chat-token", { method: "POST" });
    if (answer.status === 401) return null; // nobody is signed in
    if (!answer.ok) throw new Error(`no token: ${answer.status}`); // it is asked again
    return answer.text();
  },
});

const hrefFor = (id: string): string => `/?with=${encodeURIComponent(id)}`;

export function Messages({ userId }: { userId: string }): ReactNode {
  const router = useRouter();
  const open = useSearchParams().get("with");
  useEffect(() => {
    chat.connect(userId); // by name: what is written while nobody answers is kept from the first moment
    return () => chat.disconnect();
  }, [userId]);
  return (
    <TidingsProvider client={chat}>
      <main style={{ height: "100dvh" }}>
        <Inbox
          isPage
          peopleSearch
          chatUserId={open}
          // Back from a conversation leads to the list: by the browser's own Back, where one came from there.
          onOpen={(id) => window.history.pushState({ fromList: open === null }, "", hrefFor(id))}
          onClose={() => (window.history.state?.fromList ? router.back() : router.replace("/"))}
          hrefFor={hrefFor}
          onSignIn={() => location.reload()}
        />
      </main>
    </TidingsProvider>
  );
}
