/**
 * To whom? One types, and chooses among the people of one's conversations, at once, and those whom the host finds; and, where
 * the host allows it, a user id that is typed.
 *
 * A combobox with a list below it (ARIA Authoring Practices, "Combobox"): the focus stays in the field.
 */
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import type { FoundPerson, Person } from "../../types.js";
import { useConnection, useInbox, useIsOnline } from "../hooks.js";
import { BackIcon, CloseIcon, SearchIcon } from "../icons.js";
import { RoundButton } from "../parts/round-button.js";
import { useWords } from "../words/context.js";
import { fold } from "./find.js";
import { LoadMore } from "./load-more.js";
import { offersFor, typedIdBeside } from "./offers.js";
import { usePeopleSearch } from "./people-search.js";
import { PersonOption } from "./person-option.js";
import { Nobody, SearchNotes } from "./search-notes.js";
import { userIdProblem } from "./user-id.js";

export interface FindingProps {
  /** People to offer under "New message", and to search among. */
  suggestions?: readonly Person[];
  /** The host has `search_people`: it is asked for what is typed. */
  peopleSearch?: boolean;
  /** A user id may be typed, of somebody whom nobody has found. */
  rawIds?: boolean;
}

interface NewMessageProps extends Required<FindingProps> {
  /** The person whose conversation is open. */
  activeId: string | null;
  onOpen: (userId: string) => void;
  onCancel: () => void;
}

interface Option {
  key: string;
  person: FoundPerson;
  isTyped: boolean;
}

export function NewMessage(props: NewMessageProps): ReactNode {
  const { activeId, suggestions, peopleSearch, rawIds, onOpen, onCancel } = props;
  const words = useWords();
  const id = useId();
  const inbox = useInbox();
  const { userId: ownId } = useConnection();
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  /** The key of whom the arrow keys have chosen; else it is the first, as soon as something is typed. */
  const [picked, setPicked] = useState<string | null>(null);
  const search = usePeopleSearch(typed, peopleSearch);
  const isOnline = useIsOnline(activeId);
  const field = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);

  const wanted = fold(typed.trim());
  const known = inbox.entries.map(({ user }) => user);
  const offers = offersFor(typed, { ownId, known, suggestions, found: search.people });
  const groups: { title: string; options: readonly Option[] }[] = [
    { title: words.knownPeople, options: offers.known.map(optionOf) },
    { title: words.everybody, options: offers.everybody.map(optionOf) },
  ].filter(({ options }) => options.length > 0);
  const people = groups.flatMap(({ options }) => options);
  // As long as somebody of that name may be found, nobody writes to an id in their place.
  const typedId =
    rawIds && search.state !== "searching"
      ? typedIdBeside(
          people.map(({ person }) => person),
          typed,
        )
      : null;
  const wrong = typedId === null ? null : userIdProblem(typedId, ownId, words.userId);
  const raw: Option | null =
    typedId !== null && wrong === null
      ? { key: "typed", person: { id: typedId, name: typed, avatar_url: null, about: null }, isTyped: true }
      : null;
  const options = raw ? [...people, raw] : people;
  const found = options.findIndex(({ key }) => key === picked);
  const chosen = found !== -1 ? found : wanted === "" ? -1 : 0;
  const active = options[chosen];

  const { hasMore, loading, loaded, error, errorCode } = inbox;
  const isSearched = search.isOffered || suggestions.length > 0;
  /** A newcomer with whom nobody has written, where nobody is found by name. */
  const isById = rawIds && !isSearched && loaded && !hasMore && known.length === 0;
  // The host's search knows those of one's older conversations, too.
  const mayLoad = error === null && (wanted === "" || !search.isOffered);

  useEffect(() => {
    scroller.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [active?.key]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.nativeEvent.isComposing) return;
    const { key } = event;
    const pick = (index: number): void => setPicked(options[index]?.key ?? null);
    if (key === "Escape") onCancel();
    else if (key === "Enter") {
      if (active) onOpen(active.person.id);
      else if (rawIds && wanted === "") setProblem(isById ? words.userId.only : words.userId.empty);
      else setProblem(wrong);
    } else if (key === "ArrowDown") pick(Math.min(chosen + 1, options.length - 1));
    else if (key === "ArrowUp") pick(Math.max(chosen - 1, 0));
    // In what is typed these two move the caret, until one has gone down into the list.
    else if (key === "Home" && (picked !== null || typed === "")) pick(0);
    else if (key === "End" && (picked !== null || typed === "")) pick(options.length - 1);
    else return;
    event.preventDefault();
  };
  const type = (text: string): void => {
    setTyped(text);
    setProblem(null);
    setPicked(null);
  };

  const hint = !rawIds ? words.toWhom : isById ? words.toWhomById : words.newMessageLabel;
  const optionId = (index: number): string => `${id}-${index}`;
  const isListed = options.length > 0;
  const isComing = search.state === "searching" || (!loaded && error === null) || (hasMore && loading);
  const isSettled = !isComing && (search.state === "off" || search.state === "found");
  const draw = (option: Option): ReactNode => {
    const index = options.indexOf(option);
    return (
      <PersonOption
        key={option.key}
        id={optionId(index)}
        person={option.person}
        {...(option.isTyped && { title: words.writeTo(option.person.id) })}
        isOnline={isOnline && option.person.id === activeId}
        isChosen={index === chosen}
        wanted={wanted}
        onChoose={() => onOpen(option.person.id)}
      />
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
            aria-label={hint}
            placeholder={hint}
            aria-autocomplete="list"
            aria-expanded={isListed}
            aria-controls={isListed ? `${id}-list` : undefined}
            aria-activedescendant={active && optionId(chosen)}
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
        {!isComing && words.peopleFound(people.length)}
      </p>
      <div ref={scroller} className="tidings-inbox-scroll">
        {isListed && (
          <div id={`${id}-list`} role="listbox" aria-label={words.people}>
            {groups.map(({ title, options }, number) => (
              <div key={title} role="group" aria-labelledby={`${id}-group-${number}`}>
                <h3 id={`${id}-group-${number}`} role="presentation">
                  {title}
                </h3>
                {options.map(draw)}
              </div>
            ))}
            {raw && draw(raw)}
          </div>
        )}
        <SearchNotes search={search} isEmpty={offers.everybody.length === 0} />
        {error !== null && (
          <p className="tidings-search-note" role="status">
            {words.inboxFailed} {words.refusal(errorCode ?? "", error)}
            <button type="button" className="tidings-link" onClick={() => void inbox.load()}>
              {words.tryAgain}
            </button>
          </p>
        )}
        {!isListed && problem === null && isSettled && error === null && !hasMore && (
          <Nobody
            typed={typed.trim()}
            isSearched={isSearched}
            why={isById && wanted === "" ? words.userId.only : wrong}
          />
        )}
        {hasMore && <LoadMore scroller={scroller} isAhead={mayLoad} />}
      </div>
    </section>
  );
}

function optionOf(person: FoundPerson): Option {
  return { key: `person ${person.id}`, person, isTyped: false };
}
