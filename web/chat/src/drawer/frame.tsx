/**
 * The place of the drawer around the chat of a demo. This is all that a page of `tidings serve` loads of it: the drawer is
 * a chunk of its own, and comes with the page of a demo at once, for a broken network could not bring it later.
 */
import { useEffect, useState, type ReactNode } from "react";
import type { Person, RealtimeService } from "tidings";
import "./frame.css";

/** Where the demo is controlled, by what key, and by pages of which origins. */
export interface ControlAddress {
  url: string;
  key: string;
  origins: readonly string[];
}

export interface Demonstrated {
  client: RealtimeService;
  userId: string;
  people: readonly Person[];
  control: ControlAddress;
}

type Drawer = typeof import("./index.js");

/** `children` keep their place, and their state, when the drawer comes and when it is opened. */
export function DemoFrame({ client, userId, people, control, children }: Demonstrated & { children: ReactNode }) {
  const [drawer, setDrawer] = useState<Drawer | null>(null);
  const [demonstrated] = useState<Demonstrated>({ client, userId, people, control });

  useEffect(() => {
    let undo: (() => void) | null = null;
    let gone = false;
    void import("./index.js").then((loaded) => {
      if (gone) return;
      undo = loaded.begin(demonstrated);
      setDrawer(loaded);
    });
    return () => {
      gone = true;
      undo?.();
    };
  }, [demonstrated]);

  return (
    <div className="demo-frame">
      {drawer && <drawer.Bar demonstrated={demonstrated} />}
      <div className="demo-page">{children}</div>
      {drawer && <drawer.Panel demonstrated={demonstrated} />}
    </div>
  );
}
