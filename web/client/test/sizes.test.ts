import { expect, it } from "vitest";
import { packedSize } from "./sizes.js";

/**
 * Bytes that may come over the network, minified and gzipped. For comparison (measured alike): socket.io-client 13.1 kB, pusher-js
 * 19.2 kB, centrifuge 23.6 kB, none of which has an outbox, a store of conversations, or one stream for all tabs. Whoever
 * needs more says why where the number is raised.
 */
it.each([
  // 0.8 kB of it: answers are held against their questions, tabs have drafts of their own, the inbox knows what is unsent.
  ["index.ts", 23_300],
  ["react/hooks.ts", 1400],
  // 1.0 kB of it: of a long conversation only a part is in the document, and the place is kept when it moves.
  // All of it; whoever takes only ChatScreen leaves the inbox with its panes, keys and separator to the bundler.
  // 3.5 kB of it: search and filter of the list, its marks and drafts, people to choose from, menus.
  // 1.8 kB of it: where a link ends in every script, bold and code; 0.5 kB: that what is read was seen.
  // 0.5 kB of it: the day that floats while one scrolls; in development, a word on a screen without a height.
  ["react/index.ts", 28_500],
  // Every state in light and dark, wide, narrow, low, printed and in forced colours.
  ["react/styles/index.css", 9000],
])("%s and what it imports is at most %i bytes", async (module, budget) => {
  expect(await packedSize(module)).toBeLessThanOrEqual(budget);
});
