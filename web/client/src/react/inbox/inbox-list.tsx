import { useDeferredValue, useEffect, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import type { FoundPerson, InboxEntry, Person } from "../../types.js";
import { EmptyArt } from "../parts/art.js";
import { fold } from "./find.js";
import { useConnection, useInbox, useLatest } from "../hooks.js";
import { CloseIcon, PenIcon, SearchIcon } from "../icons.js";
import { Entry, EntrySkeleton } from "./inbox-entry.js";
import { useInView } from "./list-scroll.js";
import { LoadMore } from "./load-more.js";
import { NewMessage, type FindingProps } from "./new-message.js";
import { offersFor } from "./offers.js";
import { OwnState } from "./own-state.js";
import { focusOn } from "../parts/focus.js";
import { useKeptFocus } from "../parts/kept-focus.js";
import { usePeopleSearch } from "./people-search.js";
import { useReach } from "./reach.js";
import { Nobody, SearchNotes } from "./search-notes.js";
import { normalUserId, userIdProblem } from "./user-id.js";
import { findKeys, findKeysName } from "../parts/shortcuts.js";
import { useToday } from "../parts/today.js";
import { RoundButton } from "../parts/round-button.js";
import { SignInFirst } from "../parts/sign-in-first.js";
import { WayOut } from "../parts/way-out.js";
import { useTypists } from "./typists.js";
import { useLanguage, useWords } from "../words/context.js";

export interface InboxListProps extends FindingProps {
  /** The person whose conversation is open beside the list. */
  activeId?: string | null;
  /** Called when somebody is chosen, in the list or by "New message". */
  onOpen: (userId: string) => void;
  /** The address of a conversation, so that it can be opened in another window. */
  hrefFor: (userId: string) => string;
  /** What to do where there are no conversations yet, in place of "New message". */
  emptyAction?: ReactNode;
  /** Stands at the end of the list's head: who one is, a way out. */
  account?: ReactNode;
  /** Whether "New message" is open, where its owner decides that. */
  isWriting?: boolean;
  onWriting?: (isWriting: boolean) => void;
  /** Shows "Sign in" where nobody is signed in, or the sign-in has ended. */
  onSignIn?: () => void;
}

const NOBODY: readonly FoundPerson[] = [];
const SKELETONS = 6;

/** The conversations, newest first, and the way to a new one. */
export function InboxList(props: InboxListProps): ReactNode {
  const { activeId = null, onOpen, hrefFor, emptyAction, account, onWriting, onSignIn } = props;
  const { suggestions = NOBODY, peopleSearch = false, rawIds = false } = props;
  const words = useWords();
  const language = useLanguage();
  const inbox = useInbox();
  const { userId, status } = useConnection();
  const today = useToday();
  const typists = useTypists();
  const [isWritingHere, setWritingHere] = useState(false);
  const writing = props.isWriting ?? isWritingHere;
  const [sought, setSought] = useState("");
  const [onlyUnread, setOnlyUnread] = useState(false);
  const root = useRef<HTMLElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);

  const setWriting = onWriting ?? setWritingHere;
  /** Somebody was chosen: it is for the page to say where the focus goes. */
  const hasChosen = useRef(false);
  useKeptFocus(root, {
    isDeep: true,
    goTo: () => hasChosen.current || focusOn(opener.current ?? root.current?.querySelector("button, input, a") ?? null),
  });
  /** The same function for all rows, so that they are not drawn anew. */
  const latest = useLatest((id: string): void => {
    hasChosen.current = id !== activeId;
    setTimeout(() => (hasChosen.current = false));
    if (!onWriting) setWritingHere(false);
    setSought("");
    onOpen(id);
  });
  const [open] = useState(() => (id: string) => latest.current(id));

  const { entries, hasMore, loading, loaded, error, errorCode } = inbox;
  const isUnknown = !loaded && entries.length === 0;
  const isSignedOut = isUnknown && status === "unauthorized";
  const seen = useDeferredValue(sought);
  const wanted = fold(seen.trim());
  /** The list shows what is sought: while one types fast, it is some letters behind. */
  const isSettled = wanted === fold(sought.trim());
  const opensFirst = useRef(false);
  const isSearching = wanted !== "";
  const search = usePeopleSearch(sought, peopleSearch && !writing);
  const found = new Set(search.people.map(({ id }) => id));
  const isShown = ({ user, unread }: InboxEntry): boolean =>
    (!isSearching || fold(user.name).includes(wanted) || user.id === sought.trim() || found.has(user.id)) &&
    (!onlyUnread || unread > 0 || user.id === activeId);
  const shown = isSearching || onlyUnread ? entries.filter(isShown) : entries;
  const known = entries.map(({ user }) => user);
  const others = isSearching
    ? offersFor(seen, { ownId: userId, known, suggestions, found: search.people }).everybody
    : NOBODY;
  const isSought = search.state === "searching" || search.state === "later" || search.state === "failed";
  const isFound = shown.length + others.length > 0;
  const typedId = rawIds && isSearching && !isFound && search.state !== "searching" ? normalUserId(seen) : null;
  const wrong = typedId === null ? null : userIdProblem(typedId, userId, words.userId);
  const raw = typedId === null || wrong !== null ? null : { id: typedId, name: typedId, avatar_url: null, about: null };
  const canWrite = useReach({ suggestions, peopleSearch, rawIds });
  const isEmpty = loaded && entries.length === 0;
  // What is unread further down is looked for; what is sought is sought among what is here, unless one asks for more.
  const loadedUnread = entries.reduce((sum, { unread }) => sum + unread, 0);
  const mayLoad = !isSearching && error === null && (!onlyUnread || loadedUnread < inbox.unread);
  useInView(scroller, activeId, loaded);

  useEffect(() => {
    if (!opensFirst.current || !isSettled) return;
    opensFirst.current = false;
    if (isSearching) scroller.current?.querySelector<HTMLElement>(".tidings-entry")?.click();
  });

  const onSearchKey = (event: KeyboardEvent<HTMLInputElement>): void => {
    if (event.nativeEvent.isComposing) return;
    const first = scroller.current?.querySelector<HTMLElement>(".tidings-entry");
    opensFirst.current = event.key === "Enter" && !isSettled;
    if (event.key === "Escape" && sought !== "") setSought("");
    else if (event.key === "ArrowDown") first?.focus();
    else if (event.key === "Enter" && isSearching && isSettled) first?.click();
    else if (!opensFirst.current) return;
    event.preventDefault();
    event.stopPropagation();
  };
  const row = (person: Person, entry: InboxEntry | null, about: string | null = null, title?: string): ReactNode => (
    <li key={person.id}>
      <Entry
        person={person}
        {...(title !== undefined && { title })}
        entry={entry}
        about={about}
        typing={typists.has(person.id)}
        active={person.id === activeId}
        href={hrefFor(person.id)}
        wanted={wanted}
        today={today}
        onOpen={open}
      />
    </li>
  );

  return (
    <nav {...language} ref={root} className="tidings tidings-inbox" aria-label={words.conversations}>
      {writing ? (
        <NewMessage
          activeId={activeId}
          suggestions={suggestions}
          peopleSearch={peopleSearch}
          rawIds={rawIds}
          onOpen={open}
          onCancel={() => setWriting(false)}
        />
      ) : (
        <>
          <div className="tidings-inbox-head">
            <h2>{words.conversations}</h2>
            {canWrite && !isSignedOut && (
              <RoundButton buttonRef={opener} label={words.newMessage} onClick={() => setWriting(true)}>
                <PenIcon />
              </RoundButton>
            )}
            {account !== undefined && <div className="tidings-slot">{account}</div>}
            <WayOut />
          </div>
          {!isEmpty && !isSignedOut && (
            <div className="tidings-inbox-find">
              <div className="tidings-search" role="search">
                <SearchIcon />
                <input
                  ref={field}
                  className="tidings-input"
                  type="search"
                  placeholder={words.search}
                  aria-label={words.searchLabel}
                  aria-keyshortcuts={findKeysName()}
                  autoComplete="off"
                  spellCheck={false}
                  dir={sought === "" ? undefined : "auto"}
                  value={sought}
                  onChange={(event) => setSought(event.target.value)}
                  onKeyDown={onSearchKey}
                />
                {sought === "" ? (
                  <kbd aria-hidden="true">{findKeys().join(" ")}</kbd>
                ) : (
                  <RoundButton
                    label={words.clear}
                    onClick={() => {
                      setSought("");
                      field.current?.focus();
                    }}
                  >
                    <CloseIcon />
                  </RoundButton>
                )}
              </div>
              <div className="tidings-filter" role="group" aria-label={words.filter}>
                {[false, true].map((unread) => (
                  <button
                    key={String(unread)}
                    type="button"
                    aria-pressed={onlyUnread === unread}
                    onClick={() => setOnlyUnread(unread)}
                  >
                    <span>
                      {unread ? words.filterUnread : words.filterAll}
                      {unread && inbox.unread > 0 && <b>{words.badge(inbox.unread)}</b>}
                    </span>
                  </button>
                ))}
              </div>
            </div>
          )}
          <OwnState isAlone={activeId === null} isEmpty={isUnknown} onSignIn={onSignIn} />
          <div ref={scroller} className="tidings-inbox-scroll" aria-busy={loading}>
            {isSignedOut && activeId === null && <SignInFirst onSignIn={onSignIn} />}
            {error !== null && status !== "unauthorized" && (
              <div className="tidings-trouble">
                <p>
                  {words.inboxFailed} {words.refusal(errorCode ?? "", error)}
                </p>
                <button type="button" className="tidings-button" onClick={() => void inbox.load()}>
                  {words.tryAgain}
                </button>
              </div>
            )}
            {!loaded && error === null && !isSignedOut && (
              <>
                <p className="tidings-hidden" role="status">
                  {words.loadingConversations}
                </p>
                {Array.from({ length: SKELETONS }, (_, number) => (
                  <EntrySkeleton key={number} />
                ))}
              </>
            )}
            {isEmpty ? (
              <div className="tidings-empty">
                <EmptyArt />
                <h3>{words.noConversations}</h3>
                <p>{canWrite || emptyAction !== undefined ? words.noConversationsHint : words.nobodyYetHint}</p>
                {emptyAction !== undefined ? (
                  <div className="tidings-slot">{emptyAction}</div>
                ) : canWrite ? (
                  <button type="button" className="tidings-button" data-primary="true" onClick={() => setWriting(true)}>
                    <PenIcon /> {words.newMessage}
                  </button>
                ) : null}
              </div>
            ) : !isSearching && onlyUnread && shown.length === 0 && !hasMore ? (
              <div className="tidings-empty">
                <h3>{words.allRead}</h3>
                <p>{words.allReadHint}</p>
                <button type="button" className="tidings-button" onClick={() => setOnlyUnread(false)}>
                  {words.showAll}
                </button>
              </div>
            ) : null}
            {isSearching && shown.length > 0 && <h3>{words.conversations}</h3>}
            <ul className="tidings-conversations">{shown.map((entry) => row(entry.user, entry))}</ul>
            {(others.length > 0 || raw) && (
              <>
                <h3>{words.people}</h3>
                <ul>
                  {others.map((person) => row(person, null, person.about))}
                  {raw && row(raw, null, null, words.writeTo(raw.id))}
                </ul>
              </>
            )}
            {isSearching && !isFound && !isSought && (
              <Nobody typed={seen.trim()} isSearched={search.isOffered || suggestions.length > 0} why={wrong}>
                <button
                  type="button"
                  className="tidings-button"
                  onClick={() => {
                    setSought("");
                    field.current?.focus();
                  }}
                >
                  {words.clearSearch}
                </button>
              </Nobody>
            )}
            {isSearching && <SearchNotes search={search} isEmpty={others.length === 0} />}
            {hasMore && loaded && (!onlyUnread || mayLoad) && <LoadMore scroller={scroller} isAhead={mayLoad} />}
          </div>
        </>
      )}
    </nav>
  );
}
