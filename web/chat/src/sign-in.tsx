import { useEffect, useRef, useState, type ReactNode } from "react";
import { Avatar, nameInSentence } from "tidings/react";
import type { Person } from "tidings";
import { inLanguage } from "./language.js";
import type { Session, SignedOut } from "./session-state.js";
import { signIn, start } from "./session.js";
import { usePageWords } from "./words.js";

function Card({ title, children }: { title: string; children: ReactNode }): ReactNode {
  return (
    <main className="tidings page-sign-in">
      <div className="page-card">
        <p className="page-brand">
          <span className="page-mark" aria-hidden="true" />
          Tidings
        </p>
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}

/** A sentence with something to type in its middle. */
function Typed({ parts }: { parts: readonly string[] }): ReactNode {
  const [before, typed, after] = parts;
  return (
    <>
      {before}
      <code dir="ltr">{typed}</code>
      {after}
    </>
  );
}

/** How to sign in: at the application that serves the page, or with a token. */
export function SignIn({ why, hasProblem, host }: Omit<SignedOut, "phase">): ReactNode {
  const words = usePageWords();
  const titles = { no_token: words.signIn, rejected: words.signInEnded, refused: words.linkRefused };
  return (
    <Card title={titles[why]}>
      {host === null ? <TokenForm hasProblem={hasProblem} /> : <HostSignIn hasProblem={hasProblem} {...host} />}
    </Card>
  );
}

/** What was brought is no token. */
function Problem({ children }: { children: ReactNode }): ReactNode {
  return (
    <>
      <svg className="tidings-icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
        <circle cx="10" cy="10" r="7" />
        <path d="M10 6.2v4.6M10 13.6v.1" />
      </svg>
      {children}
    </>
  );
}

interface HostSignInProps {
  signInUrl: string | null;
  /** A link was followed that brought no token. */
  hasProblem: boolean;
}

/** In a frame the way leads out of it: an application's sign-in does not let itself be framed. */
function HostSignIn({ signInUrl, hasProblem }: HostSignInProps): ReactNode {
  const words = usePageWords();
  const problem = hasProblem && (
    <p className="page-problem" role="alert">
      <Problem>{words.notALink}</Problem>
    </p>
  );
  if (signInUrl !== null)
    return (
      <>
        {problem}
        <p className="page-note">{words.sameAccount}</p>
        <a className="tidings-button" data-primary="true" href={signInUrl} target="_top">
          {words.goSignIn}
        </a>
      </>
    );
  return (
    <>
      {problem}
      <p className="page-note">{words.signInElsewhere}</p>
      <button type="button" className="tidings-button" data-primary="true" onClick={() => void start()}>
        {words.tryAgain}
      </button>
    </>
  );
}

function TokenForm({ hasProblem }: Pick<SignedOut, "hasProblem">): ReactNode {
  const words = usePageWords();
  const [typed, setTyped] = useState("");
  return (
    <>
      <p className="page-note">{words.signInHint}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void signIn(typed);
        }}
      >
        <label htmlFor="token">{words.token}</label>
        <input
          id="token"
          className="tidings-input"
          type="password"
          autoComplete="off"
          spellCheck={false}
          aria-invalid={hasProblem}
          aria-describedby="token-problem"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <p id="token-problem" className="page-problem" role="alert">
          {hasProblem && <Problem>{words.notAToken}</Problem>}
        </p>
        <p className="page-note">
          <Typed parts={words.operators("tidings token USER")} /> {words.tokenNote}
        </p>
        <button type="submit" className="tidings-button" data-primary="true" disabled={typed.trim() === ""}>
          {words.signInWithToken}
        </button>
      </form>
    </>
  );
}

/** A token came that is somebody else's: perhaps by a link of somebody who wants to be taken for them. */
export function AskOther({ others, me, accept, decline }: Extract<Session, { phase: "question" }>): ReactNode {
  const words = usePageWords();
  const stays = useRef<HTMLButtonElement>(null);
  // What changes nothing is what Enter does.
  useEffect(() => stays.current?.focus(), []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") decline();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [decline]);
  return (
    <Card title={words.otherUser}>
      <dl className="page-others">
        <dt>{words.usedBy}</dt>
        {others.map((person) => (
          <dd key={person.id}>
            <Who person={person} />
          </dd>
        ))}
        <dt>{words.signsInAs}</dt>
        <dd>
          <Who person={me} />
        </dd>
      </dl>
      <p>{words.otherWarning}</p>
      <button ref={stays} type="button" className="tidings-button" data-primary="true" onClick={decline}>
        {words.changeNothing}
      </button>{" "}
      <button type="button" className="tidings-button" onClick={accept}>
        {words.signInAs(nameInSentence(me.id))}
      </button>
    </Card>
  );
}

/** With the id, which nobody else has. */
function Who({ person: { id, name } }: { person: Person }): ReactNode {
  return (
    <>
      <bdi>{name}</bdi>
      {name !== id && (
        <>
          {" ("}
          <bdi>{id}</bdi>)
        </>
      )}
    </>
  );
}

/** Who to be in a demo. Each window can be somebody else. */
export function ChoosePerson({ people }: { people: readonly Person[] }): ReactNode {
  const words = usePageWords();
  return (
    <Card title={words.whoAreYou}>
      <p className="page-note">{words.choosePerson}</p>
      <ul>
        {people.map((person) => (
          <li key={person.id}>
            <a className="tidings-entry" href={inLanguage({ as: person.id })}>
              <Avatar person={person} />
              <span className="tidings-entry-name">
                <span dir="auto">{person.name}</span>
              </span>
            </a>
          </li>
        ))}
      </ul>
    </Card>
  );
}

export function StartFailed({ why }: { why: string | number }): ReactNode {
  const words = usePageWords();
  return (
    <Card title={words.unreachable}>
      <p>{words.notSetUp(typeof why === "number" ? words.answered(why) : words.noAnswer)}</p>
      <button type="button" className="tidings-button" data-primary="true" onClick={() => void start()}>
        {words.tryAgain}
      </button>
    </Card>
  );
}
