import { useId, useState, type ReactNode } from "react";
import type { Person } from "../types.js";
import { Avatar } from "./avatar.js";
import { normalUserId, userIdProblem } from "./user-id.js";
import { useWords } from "./words/context.js";

interface NewMessageProps {
  ownId: string | null;
  /** People to choose from; anybody else can be typed. */
  suggestions: readonly Person[];
  onOpen: (userId: string) => void;
  onCancel: () => void;
}

/** Asks to whom: a user id, checked by the server's rules before a conversation opens. */
export function NewMessage({ ownId, suggestions, onOpen, onCancel }: NewMessageProps): ReactNode {
  const words = useWords();
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const field = useId();
  const others = suggestions.filter((person) => person.id !== ownId);

  return (
    <form
      className="tidings-new"
      noValidate
      onKeyDown={(event) => {
        if (event.key === "Escape") onCancel();
      }}
      onSubmit={(event) => {
        event.preventDefault();
        const id = normalUserId(typed);
        const found = userIdProblem(id, ownId, words.userId);
        setProblem(found);
        if (found === null) onOpen(id);
      }}
    >
      <label htmlFor={field}>{words.newMessageLabel}</label>
      <input
        id={field}
        className="tidings-input"
        type="text"
        autoFocus
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        dir="auto"
        aria-invalid={problem !== null}
        aria-describedby={problem === null ? undefined : `${field}-problem`}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setProblem(null);
        }}
      />
      <p id={`${field}-problem`} className="tidings-problem" role="alert">
        {problem}
      </p>
      <div className="tidings-new-actions">
        <button type="button" className="tidings-button" onClick={onCancel}>
          {words.cancel}
        </button>
        <button type="submit" className="tidings-button" data-primary="true">
          {words.newMessageOpen}
        </button>
      </div>
      {others.length > 0 && (
        <ul className="tidings-suggestions" aria-label={words.suggestions}>
          {others.map((person) => (
            <li key={person.id}>
              <button type="button" onClick={() => onOpen(person.id)}>
                <Avatar person={person} />
                <bdi>{person.name}</bdi>
              </button>
            </li>
          ))}
        </ul>
      )}
    </form>
  );
}
