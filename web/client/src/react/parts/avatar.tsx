import { useState, type ReactNode } from "react";
import type { Person } from "../../types.js";
import { PersonIcon } from "../icons.js";

const HUES = 8;

/** A character that begins with a letter or a digit, and is no emoji made of one, as keycaps are. */
const IS_INITIAL = /^[\p{L}\p{N}](?!.*\uFE0F)/su;

/** First letters or digits of the first and the last word that has one: whole characters, whatever the script; "": none has. */
function initialsOf(name: string): string {
  const letters = name
    .split(/[\s@._|-]+/u)
    .map((word) => charactersOf(word).find((each) => IS_INITIAL.test(each)))
    .filter((letter) => letter !== undefined);
  const [first = "", ...rest] = letters;
  return (first + (rest.at(-1) ?? "")).toLocaleUpperCase();
}

function charactersOf(word: string): string[] {
  if (typeof Intl.Segmenter === "undefined") return [...word];
  return Array.from(new Intl.Segmenter().segment(word), ({ segment }) => segment);
}

/** The same person has the same colour everywhere: a number 0..7 from the id (FNV-1a; its low bits alone spread badly). */
function hueOf(id: string): number {
  let hash = 2166136261;
  for (const character of id) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619) >>> 0;
  return (hash >>> 8) % HUES;
}

interface AvatarProps {
  person: Person;
  /** Puts the dot of presence on it; whoever shows it says so in words too. */
  online?: boolean;
}

/** Picture of a person; where there is none, or it does not load, the initials, or somebody. Decorative: the name stands beside it. */
export function Avatar({ person, online = false }: AvatarProps): ReactNode {
  const [broken, setBroken] = useState<string | null>(null);
  const address = person.avatar_url;
  return (
    <span className="tidings-avatar" data-hue={hueOf(person.id)} data-online={online} aria-hidden="true">
      {address !== null && address !== "" && address !== broken ? (
        <img src={address} alt="" loading="lazy" referrerPolicy="no-referrer" onError={() => setBroken(address)} />
      ) : (
        initialsOf(person.name) || <PersonIcon />
      )}
    </span>
  );
}
