/** To whom? One types a name or a user id, and chooses among the people who are known, or the id itself. */
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import type { Person } from "../../types.js";
import { Avatar } from "../parts/avatar.js";
import { RoundButton } from "../parts/round-button.js";
import { fold, Found } from "./find.js";
import { BackIcon, CloseIcon, SearchIcon } from "../icons.js";
import { useWords } from "../words/context.js";
import { normalUserId, userIdProblem } from "./user-id.js";

/** Of each group, so many are offered; who types more sees others. */
const OFFERED_MAX = 50;

interface NewMessageProps {
  ownId: string | null;
  /** With whom something was said already. */
  known: readonly Person[];
  /** Others to offer; anybody else can be typed. */
  suggestions: readonly Person[];
  onOpen: (userId: string) => void;
  onCancel: () => void;
}

interface Group {
  title: string;
  people: readonly Person[];
}

export function NewMessage({ ownId, known, suggestions, onOpen, onCancel }: NewMessageProps): ReactNode {
  const words = useWords();
  const id = useId();
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [at, setAt] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);

  const wanted = fold(typed.trim());
  const isWanted = (person: Person): boolean =>
    person.id !== ownId && (fold(person.name).includes(wanted) || person.id === normalUserId(typed));
  const talked = new Set(known.map((person) => person.id));
  const groups: Group[] = [
    { title: words.knownPeople, people: known.filter(isWanted).slice(0, OFFERED_MAX) },
    {
      title: words.people,
      people: suggestions.filter((person) => !talked.has(person.id) && isWanted(person)).slice(0, OFFERED_MAX),
    },
  ].filter(({ people }) => people.length > 0);
  const found = groups.flatMap(({ people }) => people);
  const exact = found.some((person) => person.id === normalUserId(typed) || fold(person.name) === wanted);
  /** Whoever has this id, though the name is not known. */
  const isOther = wanted !== "" && !exact;
  const last = found.length + (isOther ? 1 : 0) - 1;
  const chosen = Math.min(at, last);

  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  const write = (userId: string): void => {
    const wrong = userIdProblem(userId, ownId, words.userId);
    setProblem(wrong);
    if (wrong === null) onOpen(userId);
  };
  const choose = (index: number): void => {
    const person = found[index];
    if (person) onOpen(person.id);
    else write(normalUserId(typed));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Escape") onCancel();
    else if (event.key === "Enter") choose(wanted === "" ? found.length : chosen);
    else if (event.key === "ArrowDown") setAt(Math.min(chosen + 1, last));
    else if (event.key === "ArrowUp") setAt(Math.max(chosen - 1, 0));
    else return;
    event.preventDefault();
  };
  const type = (text: string): void => {
    setTyped(text);
    setProblem(null);
    setAt(0);
  };

  let index = -1;
  const option = (key: string, person: Person, text: ReactNode): ReactNode => {
    index += 1;
    const mine = index;
    return (
      <div
        key={key}
        id={`${id}-${mine}`}
        className="tidings-entry"
        role="option"
        aria-selected={mine === chosen}
        onClick={() => choose(mine)}
      >
        <Avatar person={person} />
        <span className="tidings-entry-body">
          <span className="tidings-entry-name">
            <span dir="auto">{text}</span>
          </span>
        </span>
      </div>
    );
  };
  return (
    // Not a form: see safety.tsx.
    <section className="tidings-picker" aria-label={words.newMessage}>
      <div className="tidings-inbox-head">
        <RoundButton className="tidings-inbox-back" label={words.back} onClick={onCancel}>
          <BackIcon />
        </RoundButton>
        <h2>{words.newMessage}</h2>
      </div>
      <div className="tidings-inbox-find">
        <div className="tidings-search">
          <SearchIcon />
          <input
            ref={field}
            className="tidings-input"
            type="text"
            role="combobox"
            aria-label={words.newMessageLabel}
            placeholder={words.newMessageLabel}
            aria-autocomplete="list"
            aria-expanded={last >= 0}
            aria-controls={`${id}-list`}
            aria-activedescendant={last >= 0 ? `${id}-${chosen}` : undefined}
            aria-invalid={problem !== null}
            aria-describedby={`${id}-problem`}
            autoFocus
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            dir={typed === "" ? undefined : "auto"}
            value={typed}
            onChange={(event) => type(event.target.value)}
            onKeyDown={onKeyDown}
          />
          {typed !== "" && (
            <RoundButton
              label={words.clear}
              onClick={() => {
                type("");
                field.current?.focus();
              }}
            >
              <CloseIcon />
            </RoundButton>
          )}
        </div>
        <p id={`${id}-problem`} className="tidings-problem" role="alert">
          {problem}
        </p>
      </div>
      <p className="tidings-hidden" role="status">
        {words.peopleFound(found.length)}
      </p>
      <div ref={list} id={`${id}-list`} className="tidings-inbox-scroll" role="listbox" aria-label={words.people}>
        {groups.map(({ title, people }, number) => (
          <div key={title} role="group" aria-labelledby={`${id}-group-${number}`}>
            <h3 id={`${id}-group-${number}`} role="presentation">
              {title}
            </h3>
            {people.map((person) => option(person.id, person, <Found text={person.name} wanted={wanted} />))}
          </div>
        ))}
        {isOther &&
          option(
            "typed",
            { id: normalUserId(typed), name: typed, avatar_url: null },
            words.writeTo(normalUserId(typed)),
          )}
      </div>
    </section>
  );
}
