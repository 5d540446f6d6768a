import { useCallback, useMemo, useState, useSyncExternalStore, type ReactNode } from "react";
import { Inbox, nameInSentence, TidingsProvider, useInbox, useSound, useUnreadTitle } from "tidings/react";
import { DemoFrame } from "./drawer/frame.js";
import type { Language } from "./language.js";
import { useNotifications } from "./notifications.js";
import {
  keepEnterSends,
  keepListWidth,
  keepNotify,
  keepSound,
  keptEnterSends,
  keptListWidth,
  keptNotify,
  keptSound,
} from "./preference.js";
import { hrefOf, openConversation, openList, route } from "./route.js";
import { session, type Session } from "./session-state.js";
import { readRefusal } from "./session.js";
import { Account, CloseMark } from "./settings.js";
import { AskOther, ChoosePerson, SignIn, StartFailed } from "./sign-in.js";
import { PageWordsContext, usePageWords } from "./words.js";

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
      return <SignIn why={now.why} hasProblem={now.hasProblem} host={now.host} />;
    case "question":
      return <AskOther {...now} />;
    case "signed_in":
      return (
        <TidingsProvider key={now.userId} client={now.client} words={language.chat}>
          {now.control ? (
            <DemoFrame {...now} people={now.finding.suggestions} control={now.control}>
              <Chat now={now} />
            </DemoFrame>
          ) : (
            <Chat now={now} />
          )}
        </TidingsProvider>
      );
  }
}

const NOTHING = (): void => undefined;

/** The inbox, with who one is at its head. */
function Chat({ now }: { now: SignedIn }): ReactNode {
  const peerId = useSyncExternalStore(route.subscribe, route.getSnapshot);
  const { entries } = useInbox();
  const opened = peerId === null ? null : now.client.conversation(peerId);
  // The name is drawn anew when the device, or the server, tells it.
  const told = useCallback((fn: () => void) => opened?.subscribe(fn) ?? NOTHING, [opened]);
  useSyncExternalStore(told, () => opened?.getSnapshot().peer ?? null);
  const nameOf = (id: string | null): string | undefined =>
    entries.find((entry) => entry.user.id === id)?.user.name ??
    now.finding.suggestions.find((person) => person.id === id)?.name ??
    (id === null ? undefined : now.client.conversation(id).getSnapshot().peer?.name);
  const name = nameOf(peerId);
  useUnreadTitle(`${nameInSentence(name ?? peerId ?? now.me.name)} · Tidings`);
  const [hasSound, setSound] = useState(keptSound);
  useSound(hasSound, peerId);
  const onSound = (wanted: boolean): void => {
    setSound(wanted);
    keepSound(wanted);
  };
  const [notifies, setNotifies] = useState(keptNotify);
  useNotifications(notifies, (id) => nameOf(id) ?? id, openConversation);

  const [enterChoice, setEnterChoice] = useState(keptEnterSends);
  const screen = useMemo(
    () => ({ autoFocus: true, ...(enterChoice !== null && { enterSends: enterChoice }) }),
    [enterChoice],
  );
  const words = usePageWords();

  return (
    // Around both panes: a phone shows one of them, and either is what the page is about.
    <main className="page-main">
      <h1 className="tidings-hidden">{words.messages}</h1>
      {now.linkRefused && (
        <div className="tidings page-refusal">
          <p role="alert">{words.stillSignedIn(nameInSentence(now.me.name))}</p>
          <button
            type="button"
            className="tidings-round"
            aria-label={words.close}
            title={words.close}
            onClick={readRefusal}
          >
            <CloseMark />
          </button>
        </div>
      )}
      <Inbox
        chatUserId={peerId}
        {...(name === undefined ? {} : { chatUserName: name })}
        onOpen={openConversation}
        onClose={openList}
        backCloses="list"
        hrefFor={hrefOf}
        {...now.finding}
        account={
          <Account
            me={now.me}
            isDemo={now.demo}
            canSignOut={now.canSignOut}
            hasSound={hasSound}
            onSound={onSound}
            notifies={notifies}
            onNotifies={(wanted) => {
              setNotifies(wanted);
              keepNotify(wanted);
            }}
            enterSends={enterChoice ?? matchMedia("(pointer: fine)").matches}
            onEnterSends={(wanted) => {
              setEnterChoice(wanted);
              keepEnterSends(wanted);
            }}
          />
        }
        isPage
        screen={screen}
        initialListWidth={keptListWidth()}
        onListWidth={keepListWidth}
      />
    </main>
  );
}
