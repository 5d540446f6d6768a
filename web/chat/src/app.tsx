import { useEffect, useSyncExternalStore, type ReactNode } from "react";
import { Avatar, Inbox, nameInSentence, TidingsProvider, useInbox } from "tidings/react";
import { keepListWidth, keptListWidth } from "./preference.js";
import { hrefOf, openConversation, openList, route } from "./route.js";
import { session, signOut, type Session } from "./session.js";
import { ChoosePerson, SignIn, StartFailed } from "./sign-in.js";

const SCREEN = { autoFocus: true };

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

/** The inbox, with who one is above the list. */
function Chat({ now }: { now: SignedIn }): ReactNode {
  const peerId = useSyncExternalStore(route.subscribe, route.getSnapshot);
  const { entries } = useInbox();
  const name =
    entries.find((entry) => entry.user.id === peerId)?.user.name ??
    now.people.find((person) => person.id === peerId)?.name;
  const unread = entries.reduce((sum, entry) => sum + entry.unread, 0);

  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${nameInSentence(name ?? peerId ?? now.me.name)} · Tidings`;
  }, [unread, name, peerId, now.me.name]);

  return (
    // Around both panes: a phone shows one of them, and either is what the page is about.
    <main className="page-main">
      <h1 className="tidings-hidden">Tidings</h1>
      <Inbox
        chatUserId={peerId}
        {...(name === undefined ? {} : { chatUserName: name })}
        onOpen={openConversation}
        onClose={openList}
        hrefFor={hrefOf}
        suggestions={now.people}
        above={<Identity now={now} />}
        screen={SCREEN}
        initialListWidth={keptListWidth()}
        onListWidth={keepListWidth}
      />
    </main>
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
