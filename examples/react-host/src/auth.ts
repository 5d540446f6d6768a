/**
 * Stands for an identity provider such as Clerk, with the same two functions: who is signed in (`useAuth`), and
 * `getToken`, which answers a fresh short-lived token, or null when nobody is signed in any more.
 */
import { useSyncExternalStore } from "react";

let userId: string | null = null;
const listeners = new Set<() => void>();

function set(next: string | null): void {
  userId = next;
  for (const listener of listeners) listener();
}

async function post(path: string, body: object = {}): Promise<{ userId: string | null; token?: string | null }> {
  const response = await fetch(`/auth/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`the sign-in does not answer (${response.status})`);
  return response.json();
}

export async function signIn(name: string): Promise<void> {
  set((await post("sign-in", { name })).userId);
}

export async function signOut(): Promise<void> {
  set((await post("sign-out")).userId);
}

/** Asked by Tidings when it needs a token, and again when one has expired or was refused. */
export async function getToken(): Promise<string | null> {
  return (await post("token")).token ?? null;
}

/** Who is signed in, after a reload too. */
export async function restore(): Promise<void> {
  set((await post("token")).userId);
}

export function useAuth(): { userId: string | null } {
  const current = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => userId,
  );
  return { userId: current };
}
