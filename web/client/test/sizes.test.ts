import { expect, it } from "vitest";
import { packedScript, packedSize } from "./sizes.js";

/**
 * Bytes that may come over the network, minified and gzipped. For comparison (measured alike): socket.io-client 13.1 kB, pusher-js
 * 19.2 kB, centrifuge 23.6 kB, none of which has an outbox, a store of conversations, or one stream for all tabs. Whoever
 * needs more says why where the number is raised.
 */
it.each([
  // 0.8 kB of it: answers are held against their questions, tabs have drafts of their own, the inbox knows what is unsent.
  // 0.2 kB of it: people are searched for, and have the name by which they were found; 0.1 kB: a new name is shown at once.
  // 40 bytes of it: any request that is refused tells that the session has ended; 20: that somebody else is signed in now.
  // 0.1 kB of it: the name by which somebody was found is kept for the next page.
  // 0.8 kB of it: who is signed in is found out by the connection alone, and nobody asks in vain meanwhile.
  // 0.1 kB of it: what was not sent stays for the user who wrote it.
  // 0.25 kB of it: after a sign-out nothing but connect() begins again, and what nobody has written is sent as nobody's.
  ["index.ts", 24_990],
  ["react/hooks.ts", 1400],
  // 1.0 kB of it: of a long conversation only a part is in the document, and the place is kept when it moves.
  // All of it; whoever takes only ChatScreen leaves the inbox with its panes, keys and separator to the bundler.
  // 3.5 kB of it: search and filter of the list, its marks and drafts, people to choose from, menus.
  // 1.8 kB of it: where a link ends in every script, bold and code; 0.5 kB: that what is read was seen.
  // 0.5 kB of it: the day that floats while one scrolls; in development, a word on a screen without a height.
  // 1.4 kB of it: whom the host finds beside those of the conversations, its trouble, and the keys of a combobox.
  // 0.2 kB of it: the search of the list leads to an id that is typed; nobody is led to choose where there is nobody.
  // 1.0 kB of it: the launcher; 0.5 kB: "Sign in to your messages", somebody else, and words for an answer of a proxy's.
  // 0.7 kB of it: the focus goes to the next place when what had it is gone; 0.65 kB: Back on a phone.
  // 70 bytes of it: New message says that only an id can be typed, where that is so.
  ["react/index.ts", 33_730],
  // Every state in light and dark, wide, narrow, low, printed and in forced colours.
  ["react/styles/index.css", 9000],
])("%s and what it imports is at most %i bytes", async (module, budget) => {
  expect(await packedSize(module)).toBeLessThanOrEqual(budget);
});

it("the script for pages without a build, with React and styles, is at most 141130 bytes", async () => {
  // React is 60 kB of it, the core 24, the screens 31, the styles 9, the second language 4.
  expect(await packedScript()).toBeLessThanOrEqual(141_160);
});
