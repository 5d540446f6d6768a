import type { ClientStorage } from "../types.js";

/** Delete what is kept under this name, but for the rows that are `spared`; of those, `late` is not written yet. */
export async function clearBut(
  storage: ClientStorage,
  owner: string,
  spared: (key: string) => boolean,
  late: ReadonlyMap<string, unknown> = new Map(),
): Promise<void> {
  const rows = new Map([...(await storage.read(owner)), ...late]);
  for (const key of rows.keys()) if (!spared(key)) rows.set(key, undefined);
  if ([...rows.values()].every((value) => value === undefined)) await storage.clear(owner);
  else await storage.write(owner, rows);
}
