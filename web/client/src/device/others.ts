/** What this device keeps of other users of this API. */
import type { Api } from "../http/api.js";
import { clearBut } from "./clear-but.js";
import { isPrecious } from "./device.js";
import { warn } from "../store.js";
import type { ClientStorage } from "../types.js";

interface Kept {
  storage: ClientStorage;
  api: Api;
}

/** The users of whom something is kept; null where the browser does not tell. */
export async function keptUsers({ storage, api }: Kept): Promise<readonly string[] | null> {
  const before = api.owner("");
  const names = await storage.names?.().catch(() => null);
  return names?.flatMap((name) => (name.startsWith(before) ? [name.slice(before.length)] : [])) ?? null;
}

/**
 * Delete what is kept of everybody but `userId` and those who are connected in another tab. What they have not sent waits for them,
 * drafts included, unless it is to go, too (`unsent`).
 */
export async function forgetOthers(kept: Kept, userId: string, unsent: boolean): Promise<void> {
  const { storage, api } = kept;
  const { locks } = api.environment;
  try {
    const { held = [], pending = [] } = (await locks?.query?.()) ?? {};
    if (!locks?.query) return;
    const present = [...held, ...pending].map(({ name = "" }) => name);
    for (const user of (await keptUsers(kept)) ?? []) {
      const owner = api.owner(user);
      const isHere = user === userId || present.some((name) => name.startsWith(`${owner} `));
      if (!isHere) await (unsent ? storage.clear(owner) : clearBut(storage, owner, isPrecious));
    }
  } catch (error) {
    warn("what others left on this device could not be deleted", error);
  }
}
