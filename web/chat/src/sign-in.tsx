import { useState, type ReactNode } from "react";
import { Avatar } from "tidings/react";
import type { Person } from "tidings";
import { inLanguage } from "./language.js";
import { signIn, start } from "./session.js";
import { usePageWords } from "./words.js";

function Card({ title, children }: { title: string; children: ReactNode }): ReactNode {
  return (
    <main className="page-card tidings">
      <p className="page-brand">
        <span className="page-mark" aria-hidden="true" />
        Tidings
      </p>
      <h1>{title}</h1>
      {children}
    </main>
  );
}

/** A sentence with something to type in its middle. */
function Step({ parts }: { parts: readonly string[] }): ReactNode {
  const [before, typed, after] = parts;
  return (
    <li>
      {before}
      <code dir="ltr">{typed}</code>
      {after}
    </li>
  );
}

/** How to sign in where a token is needed. */
export function SignIn({ why, hasProblem }: { why: "no_token" | "rejected"; hasProblem: boolean }): ReactNode {
  const words = usePageWords();
  const [typed, setTyped] = useState("");
  return (
    <Card title={why === "rejected" ? words.signInEnded : words.signIn}>
      <ol className="page-steps">
        <Step parts={words.stepRun("tidings token USER")} />
        <Step parts={words.stepOpen(`${location.origin}${location.pathname}#token=TOKEN`)} />
      </ol>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          signIn(typed);
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
        <p id="token-problem" className="tidings-problem" role="alert">
          {hasProblem && words.notAToken}
        </p>
        <button type="submit" className="tidings-button" data-primary="true" disabled={typed.trim() === ""}>
          {words.signIn}
        </button>
      </form>
      <p className="page-note">{words.tokenNote}</p>
    </Card>
  );
}

/** Who to be in a demo. Each window can be somebody else. */
export function ChoosePerson({ people }: { people: readonly Person[] }): ReactNode {
  const words = usePageWords();
  return (
    <Card title={words.whoAreYou}>
      <p>{words.choosePerson}</p>
      <ul className="page-people">
        {people.map((person) => (
          <li key={person.id}>
            <a href={inLanguage({ as: person.id })}>
              <Avatar person={person} />
              <bdi>{person.name}</bdi>
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
      <p>{words.notSetUp(typeof why === "number" ? words.answered(why) : why)}</p>
      <button type="button" className="tidings-button" data-primary="true" onClick={() => void start()}>
        {words.tryAgain}
      </button>
    </Card>
  );
}
