import { useState, type ReactNode } from "react";
import type { Person } from "../../types.js";

const HUES = 8;

/** First letters of the first and the last word of a name, at most two; whole characters, whatever the script. */
function initialsOf(name: string): string {
  const letters = name
    .split(/[\s@._|-]+/u)
    .map((word) => firstCharacter(word))
    .filter((letter) => letter !== "");
  const [first = "?", ...rest] = letters;
  return (first + (rest.at(-1) ?? "")).toLocaleUpperCase();
}

function firstCharacter(word: string): string {
  if (typeof Intl.Segmenter === "undefined") return [...word][0] ?? "";
  for (const { segment } of new Intl.Segmenter().segment(word)) return segment;
  return "";
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

/** Picture of a person, or the initials where there is none or it does not load. Decorative: the name stands beside it. */
export function Avatar({ person, online = false }: AvatarProps): ReactNode {
  const [broken, setBroken] = useState<string | null>(null);
  const address = person.avatar_url;
  return (
    <span className="tidings-avatar" data-hue={hueOf(person.id)} data-online={online} aria-hidden="true">
      {address !== null && address !== "" && address !== broken ? (
        <img src={address} alt="" loading="lazy" referrerPolicy="no-referrer" onError={() => setBroken(address)} />
      ) : (
        initialsOf(person.name)
      )}
    </span>
  );
}
