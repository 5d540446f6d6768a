/** What the bar and the panel share: the control, and whether the drawer is open. */
import { useSyncExternalStore } from "react";
import type { Demonstrated } from "./frame.js";
import { Reporter } from "./reporter.js";
import { Control, type Heard } from "./state.js";

const controls = new Map<string, Control>();

/** The control of this demo; the same object each time. */
export function controlOf({ control }: Demonstrated): Control {
  let made = controls.get(control.key);
  if (!made) controls.set(control.key, (made = new Control(control)));
  return made;
}

/** Report what this page does, from now on; answers the undo. */
export function begin(demonstrated: Demonstrated): () => void {
  const { client, userId } = demonstrated;
  const reporter = new Reporter(client, userId, controlOf(demonstrated), nameOf(demonstrated, userId));
  reporter.start();
  return () => reporter.stop();
}

export function useHeard(demonstrated: Demonstrated): Heard {
  const control = controlOf(demonstrated);
  return useSyncExternalStore(control.subscribe, control.getSnapshot);
}

/** The name of a person; their id when the demo does not know them. */
export function nameOf({ people }: Demonstrated, userId: string): string {
  return people.find((person) => person.id === userId)?.name ?? userId;
}

let isOpen = false;
const listeners = new Set<() => void>();

export function setOpen(open: boolean): void {
  isOpen = open;
  for (const listener of [...listeners]) listener();
}

export function useOpen(): boolean {
  return useSyncExternalStore(
    (fn) => {
      listeners.add(fn);
      return () => void listeners.delete(fn);
    },
    () => isOpen,
  );
}
