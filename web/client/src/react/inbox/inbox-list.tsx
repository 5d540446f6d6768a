import {
  useDeferredValue,
  useEffect,
  useRef,
  useState,
  type KeyboardEvent,
  type ReactNode,
  type RefObject,
} from "react";
import type { InboxEntry, Person } from "../../types.js";
import { EmptyArt } from "../parts/art.js";
import { fold } from "./find.js";
import { useConnection, useInbox, useLatest } from "../hooks.js";
import { CloseIcon, PenIcon, SearchIcon } from "../icons.js";
import { Entry, EntrySkeleton } from "./inbox-entry.js";
import { NewMessage } from "./new-message.js";
import { OwnState } from "./own-state.js";
import { findKeys, findKeysName } from "../parts/shortcuts.js";
import { useToday } from "../parts/today.js";
import { RoundButton } from "../parts/round-button.js";
import { useTypists } from "./typists.js";
import { useLanguage, useWords } from "../words/context.js";

export interface InboxListProps {
  /** The person whose conversation is open beside the list. */
  activeId?: string | null;
  /** Called when somebody is chosen, in the list or by "New message". */
  onOpen: (userId: string) => void;
  /** The address of a conversation, so that it can be opened in another window. */
  hrefFor: (userId: string) => string;
  /** People to offer under "New message" and to search among. */
  suggestions?: readonly Person[];
  /** What to do where there are no conversations yet, in place of "New message". */
  emptyAction?: ReactNode;
  /** Stands at the end of the list's head: who one is, a way out. */
  account?: ReactNode;
  /** Whether "New message" is open, where its owner decides that. */
  isWriting?: boolean;
  onWriting?: (isWriting: boolean) => void;
  /** Shows "Sign in" when the sign-in has ended. */
  onSignIn?: () => void;
}

const NOBODY: readonly Person[] = [];
const SKELETONS = 6;
/** Further conversations are asked for before the end of the list is seen. */
const AHEAD = "400px 0px";

/** The conversations, newest first, and the way to a new one. */
export function InboxList(props: InboxListProps): ReactNode {
  const { activeId = null, onOpen, hrefFor, suggestions = NOBODY, emptyAction, account, onWriting, onSignIn } = props;
  const words = useWords();
  const language = useLanguage();
  const inbox = useInbox();
  const { userId } = useConnection();
  const today = useToday();
  const typists = useTypists();
  const [isWritingHere, setWritingHere] = useState(false);
  const writing = props.isWriting ?? isWritingHere;
  const [sought, setSought] = useState("");
  const [onlyUnread, setOnlyUnread] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);

  const setWriting = (wanted: boolean): void => {
    if (onWriting) return onWriting(wanted);
    setWritingHere(wanted);
    if (!wanted) opener.current?.focus();
  };
  /** The same function for all rows, so that they are not drawn anew. */
  const latest = useLatest((id: string): void => {
    if (!onWriting) setWritingHere(false);
    setSought("");
    onOpen(id);
  });
  const [open] = useState(() => (id: string) => latest.current(id));

  const { entries, hasMore, loading, loaded, error } = inbox;
  const wanted = fold(useDeferredValue(sought).trim());
  /** The list shows what is sought: while one types fast, it is some letters behind. */
  const isSettled = wanted === fold(sought.trim());
  const opensFirst = useRef(false);
  const isSearching = wanted !== "";
  const isShown = ({ user, unread }: InboxEntry): boolean =>
    (!isSearching || fold(user.name).includes(wanted) || user.id === sought.trim()) &&
    (!onlyUnread || unread > 0 || user.id === activeId);
  const shown = isSearching || onlyUnread ? entries.filter(isShown) : entries;
  const known = isSearching ? new Set(entries.map(({ user }) => user.id)) : null;
  const others = suggestions.filter(
    ({ id, name }) => known !== null && id !== userId && !known.has(id) && fold(name).includes(wanted),
  );
  const isEmpty = loaded && entries.length === 0;
  // What is unread further down is looked for; what is sought is sought among what is here, unless one asks for more.
  const loadedUnread = entries.reduce((sum, { unread }) => sum + unread, 0);
  const mayLoad = !isSearching && error === null && (!onlyUnread || loadedUnread < inbox.unread);
  const end = useEnd(scroller, hasMore && mayLoad && !loading ? () => void inbox.loadMore() : null);
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
  const row = (person: Person, entry: InboxEntry | null): ReactNode => (
    <li key={person.id}>
      <Entry
        person={person}
        entry={entry}
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
    <nav {...language} className="tidings tidings-inbox" aria-label={words.conversations}>
      {writing ? (
        <NewMessage
          ownId={userId}
          known={entries.map(({ user }) => user)}
          suggestions={suggestions}
          onOpen={open}
          onCancel={() => setWriting(false)}
        />
      ) : (
        <>
          <div className="tidings-inbox-head">
            <h2>{words.conversations}</h2>
            <RoundButton buttonRef={opener} label={words.newMessage} onClick={() => setWriting(true)}>
              <PenIcon />
            </RoundButton>
            {account !== undefined && <div className="tidings-slot">{account}</div>}
          </div>
          {!isEmpty && (
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
          <OwnState isAlone={activeId === null} onSignIn={onSignIn} />
          <div ref={scroller} className="tidings-inbox-scroll" aria-busy={loading}>
            {error !== null && (
              <div className="tidings-trouble">
                <p>
                  {words.inboxFailed} {error}
                </p>
                <button type="button" className="tidings-button" onClick={() => void inbox.load()}>
                  {words.tryAgain}
                </button>
              </div>
            )}
            {!loaded && error === null && (
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
                <p>{words.noConversationsHint}</p>
                {emptyAction !== undefined ? (
                  <div className="tidings-slot">{emptyAction}</div>
                ) : (
                  <button type="button" className="tidings-button" data-primary="true" onClick={() => setWriting(true)}>
                    <PenIcon /> {words.newMessage}
                  </button>
                )}
              </div>
            ) : isSearching && shown.length + others.length === 0 ? (
              <div className="tidings-empty">
                <h3>{words.nobodyFound(sought.trim())}</h3>
                <p>{words.nobodyFoundHint}</p>
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
              </div>
            ) : onlyUnread && shown.length === 0 && !hasMore ? (
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
            {others.length > 0 && (
              <>
                <h3>{words.people}</h3>
                <ul>{others.map((person) => row(person, null))}</ul>
              </>
            )}
            {hasMore && loaded && (!onlyUnread || mayLoad) && (
              <button
                ref={end}
                type="button"
                className="tidings-link tidings-inbox-more"
                disabled={loading}
                onClick={() => void inbox.loadMore()}
              >
                {loading ? words.loadingConversations : words.loadMore}
              </button>
            )}
          </div>
        </>
      )}
    </nav>
  );
}

/** Calls `more` as soon as the element of this ref comes near to being seen, and again after what it brought was drawn. */
function useEnd(
  scroller: RefObject<HTMLElement | null>,
  more: (() => void) | null,
): RefObject<HTMLButtonElement | null> {
  const end = useRef<HTMLButtonElement>(null);
  const now = useLatest(more);
  const isWanted = more !== null;
  useEffect(() => {
    // Without it there is the button.
    if (!isWanted || !end.current || typeof IntersectionObserver === "undefined") return;
    const observer = new IntersectionObserver(
      (seen) => {
        if (seen.some(({ isIntersecting }) => isIntersecting)) now.current?.();
      },
      { root: scroller.current, rootMargin: AHEAD },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [scroller, isWanted, now]);
  return end;
}

/** Scrolls the list, and nothing around it, to the conversation that was opened by whatever means. */
function useInView(scroller: RefObject<HTMLElement | null>, activeId: string | null, isLoaded: boolean): void {
  useEffect(() => {
    const list = scroller.current;
    const row = list?.querySelector("[aria-current]")?.getBoundingClientRect();
    if (!list || !row) return;
    const { top, bottom } = list.getBoundingClientRect();
    if (row.top < top) list.scrollBy(0, row.top - top);
    else if (row.bottom > bottom) list.scrollBy(0, row.bottom - bottom);
  }, [scroller, activeId, isLoaded]);
}
