/**
 * The people whom the host finds by what is typed.
 *
 * It is asked when one pauses, at most twice a second, and not before the moment that an answer named. A question ends the
 * one before it: the newest answer is shown, and until it is here those of the last one that fit what is typed.
 */
import { useEffect, useRef, useState } from "react";
import type { FoundPerson } from "../../types.js";
import { useTidings } from "../provider.js";
import { fold } from "./find.js";

/** A letter that follows within this belongs to the same question. */
const PAUSE_MS = 250;
/** Between two questions: somebody who types without pause stays within the rate that the server allows a user. */
const GAP_MS = 500;
/** Characters of a question, as the server takes them (PROTOCOL.md). */
const TEXT_MAX = 64;

export interface PeopleSearch {
  people: readonly FoundPerson[];
  /**
   * `off`: nobody is asked. `searching`: an answer is to come. `later`: the server said when to ask again, and it does by itself.
   * `failed`: there was no good answer.
   */
  state: "off" | "searching" | "found" | "later" | "failed";
  /** There is a search, as far as is known. */
  isOffered: boolean;
  /** Ask again. */
  retry: () => void;
}

interface Answer {
  text: string;
  people: readonly FoundPerson[];
  trouble: "later" | "failed" | null;
}

const NOBODY: readonly FoundPerson[] = [];

/** Clients of a host that has no search: they were told so, and do not ask again. */
const withoutSearch = new WeakSet<object>();

/** Whom the host finds by `typed`. Nobody is asked where it is not wanted. */
export function usePeopleSearch(typed: string, isWanted: boolean): PeopleSearch {
  const client = useTidings();
  const [answer, setAnswer] = useState<Answer>({ text: "", people: NOBODY, trouble: null });
  const [round, setRound] = useState(0);
  /** By `performance.now()`, which no clock that is set moves. */
  const earliest = useRef(0);
  // Control characters, as in what is pasted, are in no name.
  const text = typed
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .normalize("NFC");
  const isOffered = isWanted && !withoutSearch.has(client);
  const asks = isOffered && text !== "" && [...text].length <= TEXT_MAX;

  useEffect(() => {
    if (!asks) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const askIn = (ms: number): void => {
      timer = setTimeout(ask, Math.max(ms, earliest.current - performance.now()));
    };
    const ask = (): void => {
      earliest.current = performance.now() + GAP_MS;
      client.searchPeople(text, controller.signal).then(
        (people) => {
          if (!controller.signal.aborted) setAnswer({ text, people, trouble: null });
        },
        (error: unknown) => {
          if (controller.signal.aborted) return;
          const { status, retryAfterS } = error as { status?: number; retryAfterS?: number };
          if (status === 404) withoutSearch.add(client);
          if (retryAfterS !== undefined) {
            earliest.current = performance.now() + retryAfterS * 1000;
            askIn(0);
          }
          const trouble = status === 404 ? null : retryAfterS === undefined ? "failed" : "later";
          setAnswer(({ people }) => ({ text, people: trouble === null ? NOBODY : people, trouble }));
        },
      );
    };
    askIn(PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [client, text, asks, round]);

  const isAnswered = answer.text === text;
  const retry = (): void => {
    setAnswer((last) => ({ ...last, text: "" }));
    setRound(round + 1);
  };
  if (!asks) return { people: NOBODY, state: "off", isOffered, retry };
  const state = isAnswered ? (answer.trouble ?? "found") : "searching";
  return { people: state === "found" ? answer.people : thatFit(answer.people, text), state, isOffered, retry };
}

function thatFit(people: readonly FoundPerson[], text: string): readonly FoundPerson[] {
  const wanted = fold(text);
  return people.filter(({ name, about }) => fold(`${name}\n${about ?? ""}`).includes(wanted));
}
