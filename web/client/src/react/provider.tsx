import { createContext, useContext, type ReactNode } from "react";
import type { RealtimeService } from "../service.js";
import { WordsContext } from "./words/context.js";
import type { Words } from "./words/en.js";

const Context = createContext<RealtimeService | null>(null);

export interface TidingsProviderProps {
  client: RealtimeService;
  /** Every sentence of the components below, and with them their language and direction; else English. */
  words?: Words;
  children?: ReactNode;
}

/**
 * Gives a client, and words, to the components below it.
 *
 * It neither opens nor closes the connection: that belongs to the client, which is made outside of React and outlives
 * every component, so that StrictMode, fast refresh and navigation cannot open a second stream.
 */
export function TidingsProvider({ client, words, children }: TidingsProviderProps): ReactNode {
  const around = useContext(WordsContext);
  return (
    <Context.Provider value={client}>
      <WordsContext.Provider value={words ?? around}>{children}</WordsContext.Provider>
    </Context.Provider>
  );
}

/** The client of the nearest `TidingsProvider`. Throws where there is none. */
export function useTidings(): RealtimeService {
  const client = useContext(Context);
  if (!client) throw new Error("useTidings needs a <TidingsProvider client={...}> above it");
  return client;
}
