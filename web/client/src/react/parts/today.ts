import { useEffect, useState } from "react";

/** Later than midnight by this much, ms: timers may come a little early. */
const MARGIN_MS = 500;

function startOfToday(): number {
  return new Date().setHours(0, 0, 0, 0);
}

/** The start of the present day in the user's zone; a component that reads it is drawn anew when the day changes. */
export function useToday(): number {
  const [today, setToday] = useState(startOfToday);
  useEffect(() => {
    const look = (): void => setToday(startOfToday());
    const midnight = new Date(today);
    midnight.setDate(midnight.getDate() + 1);
    const timer = setTimeout(look, Math.max(0, midnight.getTime() - Date.now()) + MARGIN_MS);
    // Timers stand still while a machine sleeps.
    document.addEventListener("visibilitychange", look);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [today]);
  return today;
}
