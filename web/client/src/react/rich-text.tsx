/** Text of a message as nodes. It is never HTML: web addresses become links, all else stays text. */
import type { ReactNode } from "react";
import { leadsToSignIn } from "../own-page.js";

const ADDRESS = /https?:\/\/[^\s<>"'`\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
const TRAILING = /[.,;:!?…*_~]+$/u;
const EMOJI =
  /^(?:(?:\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3|(?:\p{Emoji_Presentation}|\p{Emoji}\uFE0F)\p{Emoji_Modifier}?(?:\u200D\p{Emoji}\uFE0F?\p{Emoji_Modifier}?)*)\s?){1,3}$/u;

/** True when the text is one to three emoji and nothing else. */
export function isEmojiOnly(text: string): boolean {
  return text.length <= 64 && EMOJI.test(text);
}

/** Drop what belongs to the sentence, not to the address: its full stop, its closing bracket. */
function trimAddress(address: string): string {
  let trimmed = address.replace(TRAILING, "");
  for (const [open, close] of ["()", "[]"].map((pair) => [...pair] as [string, string])) {
    while (trimmed.endsWith(close) && trimmed.split(close).length > trimmed.split(open).length) {
      trimmed = trimmed.slice(0, -1).replace(TRAILING, "");
    }
  }
  return trimmed;
}

function isWebAddress(address: string): boolean {
  try {
    const { protocol } = new URL(address);
    return protocol === "https:" || protocol === "http:";
  } catch {
    return false;
  }
}

export function RichText({ text }: { text: string }): ReactNode {
  const nodes: ReactNode[] = [];
  let done = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimAddress(match[0]);
    if (!isWebAddress(address) || leadsToSignIn(address)) continue;
    nodes.push(text.slice(done, match.index));
    nodes.push(
      <a key={match.index} href={address} target="_blank" rel="noopener nofollow ugc">
        {address}
      </a>,
    );
    done = match.index + address.length;
  }
  nodes.push(text.slice(done));
  return nodes;
}
