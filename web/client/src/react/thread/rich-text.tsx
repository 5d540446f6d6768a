/** Text of a message as nodes. It is never HTML: what is a link, bold or code (text-parts.ts) is drawn, all else stays text. */
import { useMemo, type ReactNode } from "react";
import { leadsToSignIn } from "./own-page.js";
import { partsOf, type Part } from "./text-parts.js";

/** The longest text that three emoji make. */
const EMOJI_LENGTH_MAX = 120;
const EMOJI_MAX = 3;
const EMOJI =
  /^(?:\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3|(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier}))[^]*)$/u;

/** True when the text is one to three emoji and nothing else. */
export function isEmojiOnly(text: string): boolean {
  if (text.length > EMOJI_LENGTH_MAX || typeof Intl.Segmenter === "undefined") return false;
  const signs = [...new Intl.Segmenter().segment(text.replace(/\s+/g, ""))];
  return signs.length > 0 && signs.length <= EMOJI_MAX && signs.every(({ segment }) => EMOJI.test(segment));
}

function drawn(part: Part, index: number): ReactNode {
  switch (part.kind) {
    case "text":
      return part.text;
    case "link":
      // What signs somebody in is followed by nobody who was only sent it.
      return leadsToSignIn(part.href) ? (
        part.text
      ) : (
        <a key={index} href={part.href} target="_blank" rel="noopener nofollow ugc">
          {part.text}
        </a>
      );
    case "bold":
      return <b key={index}>{part.parts.map(drawn)}</b>;
    case "code":
      return <code key={index}>{part.text}</code>;
    case "block":
      return (
        // Scrolled sideways by the keyboard too.
        <pre key={index} tabIndex={0}>
          <code>{part.text}</code>
        </pre>
      );
  }
}

export function RichText({ text }: { text: string }): ReactNode {
  return useMemo(() => partsOf(text).map(drawn), [text]);
}
