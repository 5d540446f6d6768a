import { createContext, useContext, type ReactNode } from "react";
import type { RealtimeService } from "../service.js";

const Context = createContext<RealtimeService | null>(null);

/**
 * Gives a client to the components below it.
 *
 * It neither opens nor closes the connection: that belongs to the client, which is made outside of React and outlives
 * every component, so that StrictMode, fast refresh and navigation cannot open a second stream.
 */
export function TidingsProvider({ client, children }: { client: RealtimeService; children?: ReactNode }): ReactNode {
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client of the nearest `TidingsProvider`. Throws where there is none. */
export function useTidings(): RealtimeService {
  const client = useContext(Context);
  if (!client) throw new Error("useTidings needs a <TidingsProvider client={...}> above it");
  return client;
}
