import { useEffect, useState } from "react";
import { useTidings } from "../provider.js";

/** So long after the last sign of it somebody counts as typing (PROTOCOL.md 13). */
const SHOWN_MS = 5000;
const NOBODY: ReadonlySet<string> = new Set();

/** Who types to the user now, in whichever conversation. */
export function useTypists(): ReadonlySet<string> {
  const client = useTidings();
  const [typists, setTypists] = useState(NOBODY);
  useEffect(() => {
    const timers = new Map<string, ReturnType<typeof setTimeout>>();
    const changed = (): void => setTypists(new Set(timers.keys()));
    const ends = (id: string): void => {
      clearTimeout(timers.get(id));
      if (timers.delete(id)) changed();
    };
    const undo = [
      client.on("typing", (data) => {
        const { chat_user_id: id } = data as { chat_user_id: string };
        const isNew = !timers.has(id);
        clearTimeout(timers.get(id));
        timers.set(
          id,
          setTimeout(() => ends(id), SHOWN_MS),
        );
        if (isNew) changed();
      }),
      client.on("message", ({ sender_id }) => ends(sender_id)),
    ];
    return () => {
      undo.forEach((fn) => fn());
      timers.forEach(clearTimeout);
    };
  }, [client]);
  return typists;
}
