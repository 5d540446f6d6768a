/** Whether there is anybody to choose under "New message". */
import { useConnection, useInbox } from "../hooks.js";
import type { FindingProps } from "./new-message.js";

/** Somebody who can find nobody is written to first: until then they have nobody to choose, and no button that leads there. */
export function useReach({ suggestions = [], peopleSearch = false, rawIds = false }: FindingProps): boolean {
  const { userId } = useConnection();
  const { entries, loaded } = useInbox();
  return peopleSearch || rawIds || !loaded || entries.length > 0 || suggestions.some(({ id }) => id !== userId);
}
