import { words } from "./words.js";

/**
 * What is wrong with a typed user id, as a sentence; null when a message may be sent to it.
 *
 * The rules are the server's: 1..128 characters, no control characters, no slash or backslash, not ".", ".." or "me".
 * Source: PROTOCOL.md, user ids.
 */
export function userIdProblem(id: string, ownId: string | null): string | null {
  if (id === "") return words.userId.empty;
  if ([...id].length > 128) return words.userId.long;
  if (/[\p{Cc}\p{Cs}]/u.test(id)) return words.userId.control;
  if (/[/\\]/.test(id)) return words.userId.slash;
  if (id === "." || id === ".." || id === "me") return words.userId.reserved(id);
  if (id === ownId) return words.userId.self;
  return null;
}

/** A typed user id in the form that the server accepts: without surrounding blanks, composed (NFC). */
export function normalUserId(typed: string): string {
  return typed.trim().normalize("NFC");
}
