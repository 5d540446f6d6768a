/** What stands below those who are offered: that an answer is to come, that there was none, that nobody is found. */
import type { ReactNode } from "react";
import { useWords } from "../words/context.js";
import { EntrySkeleton } from "./inbox-entry.js";
import type { PeopleSearch } from "./people-search.js";

/** In the place of those who are not found yet. */
const SKELETONS = 2;

/** Of the search of everybody alone: those of one's conversations are there all the same. */
export function SearchNotes({ search, isEmpty }: { search: PeopleSearch; isEmpty: boolean }): ReactNode {
  const words = useWords();
  const { state, retry } = search;
  if (state === "searching" && isEmpty) {
    return Array.from({ length: SKELETONS }, (_, number) => <EntrySkeleton key={number} />);
  }
  if (state !== "failed" && state !== "later") return null;
  return (
    <p className="tidings-search-note" role="status">
      {state === "later" ? words.searchLater : words.searchFailed}
      {state === "failed" && (
        <button type="button" className="tidings-link" onClick={retry}>
          {words.tryAgain}
        </button>
      )}
    </p>
  );
}

interface NobodyProps {
  /** Without blanks around it. */
  typed: string;
  /** Among others than those of one's conversations, too. */
  isSearched: boolean;
  /** Why nobody can have what is typed as their id. */
  why?: string | null;
  /** What one can do. */
  children?: ReactNode;
}

/** Nobody is found for what is typed. */
export function Nobody({ typed, isSearched, why = null, children }: NobodyProps): ReactNode {
  const words = useWords();
  const [title, hint] =
    typed !== ""
      ? [words.nobodyFound(typed), isSearched ? words.nobodyFoundHint : words.knownPeopleHint]
      : isSearched
        ? [words.findSomebody, words.findSomebodyHint]
        : [words.nobodyYet, words.nobodyYetHint];
  return (
    <div className="tidings-empty">
      <h3>{title}</h3>
      <p>{why ?? hint}</p>
      {children}
    </div>
  );
}
