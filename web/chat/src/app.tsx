import { useState, useSyncExternalStore, type ReactNode } from "react";
import { Avatar, Inbox, nameInSentence, TidingsProvider, useInbox, useSound, useUnreadTitle } from "tidings/react";
import { DemoFrame } from "./drawer/frame.js";
import { inLanguage, type Language } from "./language.js";
import { keepListWidth, keepSound, keptListWidth, keptSound } from "./preference.js";
import { hrefOf, openConversation, openList, route } from "./route.js";
import { session, signOut, type Session } from "./session.js";
import { ChoosePerson, SignIn, StartFailed } from "./sign-in.js";
import { PageWordsContext, usePageWords } from "./words.js";

const SCREEN = { autoFocus: true };

type SignedIn = Extract<Session, { phase: "signed_in" }>;

export function App({ language }: { language: Language }): ReactNode {
  return (
    <PageWordsContext.Provider value={language.page}>
      <Phase language={language} />
    </PageWordsContext.Provider>
  );
}

function Phase({ language }: { language: Language }): ReactNode {
  const now = useSyncExternalStore(session.subscribe, session.getSnapshot);
  switch (now.phase) {
    case "starting":
      return null;
    case "failed":
      return <StartFailed why={now.why} />;
    case "people":
      return <ChoosePerson people={now.people} />;
    case "signed_out":
      return <SignIn why={now.why} hasProblem={now.hasProblem} />;
    case "signed_in":
      return (
        <TidingsProvider key={now.userId} client={now.client} words={language.chat}>
          {now.control ? (
            <DemoFrame {...now} control={now.control}>
              <Chat now={now} />
            </DemoFrame>
          ) : (
            <Chat now={now} />
          )}
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
  useUnreadTitle(`${nameInSentence(name ?? peerId ?? now.me.name)} · Tidings`);
  const [hasSound, setSound] = useState(keptSound);
  useSound(hasSound, peerId);
  const onSound = (wanted: boolean): void => {
    setSound(wanted);
    keepSound(wanted);
  };

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
        above={<Identity now={now} hasSound={hasSound} onSound={onSound} />}
        screen={SCREEN}
        initialListWidth={keptListWidth()}
        onListWidth={keepListWidth}
      />
    </main>
  );
}

interface IdentityProps {
  now: SignedIn;
  hasSound: boolean;
  onSound: (wanted: boolean) => void;
}

function Identity({ now, hasSound, onSound }: IdentityProps): ReactNode {
  const words = usePageWords();
  return (
    <header className="page-identity">
      <Avatar person={now.me} />
      <p>
        <span className="page-identity-name">
          <bdi>{now.me.name}</bdi>
        </span>
        <button
          type="button"
          className="tidings-link"
          aria-pressed={hasSound}
          aria-label={words.sound}
          title={words.sound}
          onClick={() => onSound(!hasSound)}
        >
          <SoundIcon on={hasSound} />
        </button>
        {now.demo ? (
          <a href={inLanguage({})}>{words.beSomebodyElse}</a>
        ) : (
          <button type="button" className="tidings-link" onClick={signOut}>
            {words.signOut}
          </button>
        )}
      </p>
    </header>
  );
}

/** A loudspeaker: with waves, or struck out. */
function SoundIcon({ on }: { on: boolean }): ReactNode {
  return (
    <svg className="tidings-icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d="M3.5 8v4h2.8L10 15.2V4.8L6.3 8z" />
      <path
        d={on ? "M12.6 7.4a3.6 3.6 0 0 1 0 5.2M14.8 5.2a6.8 6.8 0 0 1 0 9.6" : "M13 7.8l4.4 4.4M17.4 7.8L13 12.2"}
      />
    </svg>
  );
}
