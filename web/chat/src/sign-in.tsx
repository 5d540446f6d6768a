import { useState, type ReactNode } from "react";
import { Avatar } from "tidings/react";
import type { Person } from "tidings";
import { signIn, start } from "./session.js";

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

/** How to sign in where a token is needed. */
export function SignIn({ why, problem }: { why: "no_token" | "rejected"; problem: string | null }): ReactNode {
  const [typed, setTyped] = useState("");
  return (
    <Card title={why === "rejected" ? "Your sign-in has ended" : "Sign in"}>
      <ol className="page-steps">
        <li>
          On the server, run <code>tidings token USER</code> with your user id.
        </li>
        <li>
          Open <code>{`${location.origin}${location.pathname}#token=TOKEN`}</code>, or paste the token here:
        </li>
      </ol>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          signIn(typed);
        }}
      >
        <label htmlFor="token">Token</label>
        <input
          id="token"
          className="tidings-input"
          type="password"
          autoComplete="off"
          spellCheck={false}
          aria-invalid={problem !== null}
          aria-describedby="token-problem"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <p id="token-problem" className="tidings-problem" role="alert">
          {problem}
        </p>
        <button type="submit" className="tidings-button" data-primary="true" disabled={typed.trim() === ""}>
          Sign in
        </button>
      </form>
      <p className="page-note">The token is kept in this tab only, and taken out of the address bar.</p>
    </Card>
  );
}

/** Who to be in a demo. Each window can be somebody else. */
export function ChoosePerson({ people }: { people: readonly Person[] }): ReactNode {
  return (
    <Card title="Who are you?">
      <p>Choose somebody. Open a second window as somebody else, and write to each other.</p>
      <ul className="page-people">
        {people.map((person) => (
          <li key={person.id}>
            <a href={`?as=${encodeURIComponent(person.id)}`}>
              <Avatar person={person} />
              <bdi>{person.name}</bdi>
            </a>
          </li>
        ))}
      </ul>
    </Card>
  );
}

export function StartFailed({ message }: { message: string }): ReactNode {
  return (
    <Card title="Can’t reach the server">
      <p>The page could not be set up: {message}.</p>
      <button type="button" className="tidings-button" data-primary="true" onClick={() => void start()}>
        Try again
      </button>
    </Card>
  );
}
