/** Whom "New message" offers for what is typed, each once. */
import type { FoundPerson, Person } from "../../types.js";
import { fold } from "./find.js";
import { normalUserId } from "./user-id.js";

/** Of each group, so many are offered; somebody who types more sees others. */
const OFFERED_MAX = 50;

export interface Sources {
  ownId: string | null;
  /** With whom something was said already, the latest first. */
  known: readonly Person[];
  /** Others whom the host's page offers. */
  suggestions: readonly Person[];
  /** Those whom the host's search found. */
  found: readonly FoundPerson[];
}

export interface Offers {
  known: readonly FoundPerson[];
  everybody: readonly FoundPerson[];
}

/** Those who fit what is typed, by name or by id; whom the search found fits, since the host knows more of them. */
export function offersFor(typed: string, { ownId, known, suggestions, found }: Sources): Offers {
  const wanted = fold(typed.trim());
  const id = normalUserId(typed);
  const fits = (person: Person): boolean => fold(person.name).includes(wanted) || person.id === id;
  const about = new Map(found.map((person) => [person.id, person.about]));
  const offered = new Set(ownId === null ? [] : [ownId]);
  const offer = (people: readonly Person[]): readonly FoundPerson[] =>
    people
      .filter((person) => !offered.has(person.id) && offered.add(person.id))
      .slice(0, OFFERED_MAX)
      .map((person) => ({ ...person, about: about.get(person.id) ?? null }));
  // What an answer adds stands below what is there: nothing moves that somebody may be about to choose.
  const knownOnes = offer([...known.filter(fits), ...known.filter((person) => !fits(person) && about.has(person.id))]);
  for (const person of known) offered.add(person.id);
  return { known: knownOnes, everybody: offer([...suggestions.filter(fits), ...found]) };
}

/**
 * The user id that is typed, unless one of these people is meant by it: has this id, or is called so. An id that looks like their
 * name may differ from theirs by its case, and is somebody else's.
 */
export function typedIdBeside(people: readonly Person[], typed: string): string | null {
  const id = normalUserId(typed);
  const wanted = fold(id);
  const isMeant = (person: Person): boolean =>
    person.id === id || person.name === id || (fold(person.name) === wanted && fold(person.id) !== wanted);
  return id === "" || people.some(isMeant) ? null : id;
}
