/** Who uses this window now, for whoever shows it. What changes it is in `session.ts` and `demo.ts`. */
import type { Person, RealtimeService } from "tidings";
import type { ControlAddress } from "./drawer/frame.js";

/** What `page.json` tells. */
export interface Page {
  api: string;
  /** `session`: by the cookie of the application that serves the page. */
  sign_in: "session" | "token" | "demo";
  /** Where the application signs its users in and out, if it says. */
  sign_in_url?: string;
  sign_out_url?: string;
  /** Of a demo only. */
  control?: ControlAddress;
  people: readonly Person[];
  /** The host finds people by name. */
  people_search?: boolean;
  /** One may write to a user id that one has typed. */
  raw_ids?: boolean;
}

/** Whom one finds here to write to, beside the people of one's conversations. */
export interface Finding {
  suggestions: readonly Person[];
  peopleSearch: boolean;
  rawIds: boolean;
}

export function findingIn(page: Page, suggestions: readonly Person[]): Finding {
  return { suggestions, peopleSearch: page.people_search === true, rawIds: page.raw_ids === true };
}

export interface SignedOut {
  phase: "signed_out";
  why: "no_token" | "rejected" | "refused";
  hasProblem: boolean;
  /** The application signs its users in, at this address; null: a token is pasted here. */
  host: { signInUrl: string | null } | null;
}

export type Session =
  | { phase: "starting" }
  /** `why`: a status of HTTP, or what the browser says. */
  | { phase: "failed"; why: number | string }
  | { phase: "people"; people: readonly Person[] }
  /** `rejected`: somebody was signed in. `refused`: nobody was, and a token was brought that is not good. */
  | SignedOut
  /** A token that was brought is somebody else's than of those who use this browser. */
  | {
      phase: "question";
      others: readonly Person[];
      me: Person;
      accept: () => void;
      decline: () => void;
      before: Session;
    }
  | {
      phase: "signed_in";
      client: RealtimeService;
      userId: string;
      me: Person;
      finding: Finding;
      demo: boolean;
      canSignOut: boolean;
      control: ControlAddress | null;
      /** A link was followed meanwhile that is not good. */
      linkRefused: boolean;
    };

let current: Session = { phase: "starting" };
const listeners = new Set<() => void>();

export function become(next: Session): void {
  current = next;
  for (const listener of listeners) listener();
}

export const session = {
  subscribe(fn: () => void): () => void {
    listeners.add(fn);
    return () => listeners.delete(fn);
  },
  getSnapshot(): Session {
    return current;
  },
};
