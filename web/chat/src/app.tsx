import { useEffect, useRef, useSyncExternalStore, type ReactNode } from "react";
import { Avatar, ChatScreen, ConnectionBanner, InboxList, TidingsProvider, useInbox } from "tidings/react";
import { hrefOf, openConversation, openList, route } from "./route.js";
import { session, signOut, type Session } from "./session.js";
import { ChoosePerson, SignIn, StartFailed } from "./sign-in.js";

type SignedIn = Extract<Session, { phase: "signed_in" }>;

export function App(): ReactNode {
  const now = useSyncExternalStore(session.subscribe, session.getSnapshot);
  switch (now.phase) {
    case "starting":
      return null;
    case "failed":
      return <StartFailed message={now.message} />;
    case "people":
      return <ChoosePerson people={now.people} />;
    case "signed_out":
      return <SignIn why={now.why} problem={now.problem} />;
    case "signed_in":
      return (
        <TidingsProvider key={now.userId} client={now.client}>
          <Chat now={now} />
        </TidingsProvider>
      );
  }
}

/** Two panes, or one at a time where there is no room for two. */
function Chat({ now }: { now: SignedIn }): ReactNode {
  const peerId = useSyncExternalStore(route.subscribe, route.getSnapshot);
  const { entries } = useInbox();
  const name =
    entries.find((entry) => entry.user.id === peerId)?.user.name ??
    now.people.find((person) => person.id === peerId)?.name;
  const unread = entries.reduce((sum, entry) => sum + entry.unread, 0);

  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${name ?? peerId ?? now.me.name} · Tidings`;
  }, [unread, name, peerId, now.me.name]);

  const list = useRef<HTMLDivElement>(null);
  const before = useRef(peerId);
  useEffect(() => {
    const left = before.current;
    before.current = peerId;
    // What had the focus went with the conversation: it returns to where that was opened.
    if (left === null || peerId !== null || document.activeElement !== document.body) return;
    for (const link of list.current?.querySelectorAll("a") ?? []) {
      if (link.getAttribute("href") === hrefOf(left)) link.focus();
    }
  }, [peerId]);

  const self = peerId === now.userId;
  return (
    <div className="page tidings" data-open={peerId !== null}>
      <h1 className="tidings-hidden">Tidings</h1>
      <div ref={list} className="page-list">
        <Identity now={now} />
        {(peerId === null || self) && <ConnectionBanner />}
        <InboxList activeId={peerId} onOpen={openConversation} hrefFor={hrefOf} suggestions={now.people} />
      </div>
      <main className="page-thread">
        {peerId === null || self ? (
          <div className="tidings-empty">
            <p className="tidings-empty-title">{self ? "That is you" : "Your messages"}</p>
            <p>{self ? "A conversation needs somebody else." : "Choose a conversation, or start a new one."}</p>
            {self && (
              <button type="button" className="tidings-button" onClick={openList}>
                Show conversations
              </button>
            )}
          </div>
        ) : (
          <ChatScreen
            chatUserId={peerId}
            {...(name === undefined ? {} : { chatUserName: name })}
            onBack={openList}
            autoFocus
          />
        )}
      </main>
    </div>
  );
}

function Identity({ now }: { now: SignedIn }): ReactNode {
  return (
    <header className="page-identity">
      <Avatar person={now.me} />
      <p>
        <span className="page-identity-name">
          <bdi>{now.me.name}</bdi>
        </span>
        {now.demo ? (
          <a href="./">Be somebody else</a>
        ) : (
          <button type="button" className="tidings-link" onClick={signOut}>
            Sign out
          </button>
        )}
      </p>
    </header>
  );
}
