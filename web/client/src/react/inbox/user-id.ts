import type { Words } from "../words/en.js";

/**
 * What is wrong with a typed user id, as a sentence; null when a message may be sent to it.
 *
 * The rules are the server's: 1..128 characters, no control characters, no slash or backslash, not ".", ".." or "me".
 * Source: PROTOCOL.md, user ids.
 */
export function userIdProblem(id: string, ownId: string | null, words: Words["userId"]): string | null {
  if (id === "") return words.empty;
  if ([...id].length > 128) return words.long;
  if (/[\p{Cc}\p{Cs}]/u.test(id)) return words.control;
  if (/[/\\]/.test(id)) return words.slash;
  if (id === "." || id === ".." || id === "me") return words.reserved(id);
  if (id === ownId) return words.self;
  return null;
}

/** A typed user id in the form that the server accepts: without surrounding blanks, composed (NFC). */
export function normalUserId(typed: string): string {
  return typed.trim().normalize("NFC");
}
