/** What a token says, unverified: never who somebody is, only what to call them before the server has answered. */
import type { Person } from "tidings";

/** What is badly encoded stays as it is: it is no token, and is refused as that. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a token says, unverified: never who somebody is. Null when it is no token. */
export function claimsOf(candidate: string): Record<string, unknown> | null {
  const payload = candidate.split(".")[1];
  if (payload === undefined) return null;
  try {
    const binary = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** As OpenID Connect names the name of a user: only to greet its owner. */
export function personOf(userId: string, candidate: string): Person {
  const name = claimsOf(candidate)?.["name"];
  return { id: userId, name: typeof name === "string" && name !== "" ? name : userId, avatar_url: null };
}
