/** The server's word on whose a request is, and what they are called. The page believes nobody else. */
import type { Person } from "tidings";

export type Whose = { kind: "user"; userId: string } | { kind: "refused" } | { kind: "unknown"; why: number | string };

/** With a token nothing else goes along; without one, the cookies of the application that serves the page. */
function asked(token: string | null): RequestInit {
  const headers = { Accept: "application/json", ...(token !== null && { Authorization: `Bearer ${token}` }) };
  return { headers, cache: "no-store", credentials: token === null ? "same-origin" : "omit", redirect: "manual" };
}

export async function whoseIs(api: string, token: string | null): Promise<Whose> {
  try {
    const response = await fetch(`${api}/events/me`, asked(token));
    // An application that sends those whom it does not know to its sign-in answers by a redirect.
    const isRedirect = response.type === "opaqueredirect";
    if (isRedirect || response.status === 401 || response.status === 403) return { kind: "refused" };
    if (!response.ok) return { kind: "unknown", why: response.status };
    const { user_id: userId } = (await response.json()) as { user_id?: unknown };
    return typeof userId === "string" ? { kind: "user", userId } : { kind: "unknown", why: response.status };
  } catch (error) {
    return { kind: "unknown", why: error instanceof Error ? error.message : String(error) };
  }
}

/** One's own name and picture; null where the server knows none, or does not answer. */
export async function describe(api: string, userId: string, token: string | null): Promise<Person | null> {
  try {
    const response = await fetch(`${api}/${encodeURIComponent(userId)}?limit=1`, asked(token));
    const { user } = (await response.json()) as { user?: { id?: unknown; name?: unknown; avatar_url?: unknown } };
    if (!response.ok || user?.id !== userId || typeof user.name !== "string") return null;
    const picture = typeof user.avatar_url === "string" ? user.avatar_url : null;
    return user.name === userId && picture === null ? null : { id: userId, name: user.name, avatar_url: picture };
  } catch {
    return null;
  }
}
