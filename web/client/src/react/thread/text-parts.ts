/**
 * The parts of a message's text: links, `*bold*`, `code` and code blocks; all else is text. Pure, and in linear time whatever a
 * stranger writes: what was looked for in vain is not looked for again, and nothing is read twice.
 *
 * A link is an address of the web (`http:`, `https:`, or one that begins with `www.`) or of a mailbox. It ends where a reader
 * would end it: at spaces, quotes and brackets that it did not open, at the punctuation of a sentence, also that of Chinese,
 * Japanese and Arabic, and where a script without spaces goes on right after Latin letters.
 */

export type Part =
  | { kind: "text"; text: string }
  | { kind: "link"; text: string; href: string }
  | { kind: "bold"; parts: readonly Part[] }
  | { kind: "code"; text: string }
  | { kind: "block"; text: string };

/** Whatever may begin a part. */
const START = /https?:\/\/|www\.|[@*`]/giu;
/** Never within an address: spaces, signs without a width, those that steer the direction, quotes, the marks of other scripts. */
const ENDS =
  /[\s<>"`\p{Cc}\u00ab\u00a1\u00bb\u00bf\u061b\u060c\u061f\u06d4\u0964\u0965\u200b\u200e\u200f\u2014\u201c-\u201f\u2025\u2026\u2028-\u202e\u2039\u203a\u2060-\u206f\u3000-\u3004\u3008-\u3020\u3030\u303d\ufe10-\ufe6b\ufeff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]|\p{Extended_Pictographic}(?<!\p{ASCII})/u;
/** At its end they belong to the sentence. */
const TRAILING = /[\p{P}|](?<![/_\-#%&@)\]}])/u;
/** Scripts that put no spaces between words: beside Latin letters they are not of the same word. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const LATIN = /[a-z0-9]/i;
const WORD = /[\p{L}\p{N}_]/u;
const PAIRS: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

const MAILBOX = /[\w.!#$%&'+/=?^{|}~-]/;
const MAILBOX_MAX = 64;
const DOMAIN =
  /[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?(?:\.[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?){1,8}/uy;
const TOP_LEVEL = /\.\p{L}[\p{L}\p{N}-]*$/u;
const FENCE = "```";

/** What may stand between the slashes and the path. */
const AUTHORITY = /[\p{L}\p{N}\p{M}.\-_:@%~!$&+=[\]]/u;

/** The end of the address whose authority begins here, before the punctuation of its sentence. */
function endOfAddress(text: string, start: number, authority: number): number {
  const open: string[] = [];
  let end = authority;
  let last = "/";
  let isUnspaced = false;
  let isPath = false;
  for (let at = authority; at < text.length; ) {
    const sign = String.fromCodePoint(text.codePointAt(at) as number);
    if (ENDS.test(sign)) break;
    isPath ||= sign === "/" || sign === "?" || sign === "#";
    if (!isPath && !AUTHORITY.test(sign)) break;
    if (UNSPACED.test(sign)) {
      if (LATIN.test(last) && !isUnspaced) break;
      isUnspaced = true;
    } else if (!WORD.test(sign)) isUnspaced = false;
    if (/['’]/.test(sign) && /^.s(?![\w/])/u.test(text.slice(at, at + 3))) break;
    if (/[,;|]/.test(last) && /^https?:\/\//i.test(text.slice(at, at + 8))) break;
    if (sign === "(" || sign === "[" || sign === "{") open.push(sign);
    const opener = PAIRS[sign];
    if (opener !== undefined && open.pop() !== opener) break;
    at += sign.length;
    if (!TRAILING.test(sign)) end = at;
    last = sign;
  }
  // Marks around the whole of it, as in _https://a.org_, are no part of it.
  const before = text[start - 1] ?? "";
  while (/[_~]/.test(before) && end > authority && text[end - 1] === before) end -= 1;
  return end;
}

function isWebAddress(href: string): boolean {
  try {
    const { protocol, hostname } = new URL(href);
    return (protocol === "https:" || protocol === "http:") && hostname !== "";
  } catch {
    return false;
  }
}

interface Found {
  part: Part;
  start: number;
  end: number;
}

class Reader {
  /** What was looked for in vain from here on is not there, up to this place. */
  readonly #noneUntil = { "*": 0, "`": 0, [FENCE]: 0 };

  /** The end of the line that was read last; one only goes on. */
  #line = 0;

  constructor(private readonly text: string) {}

  /** The parts from one place to another; `bold`: whether they may be bold, within which nothing is again. */
  parts(from: number, to: number, bold: boolean): Part[] {
    const parts: Part[] = [];
    let done = from;
    START.lastIndex = from;
    for (let match = START.exec(this.text); match && match.index < to; match = START.exec(this.text)) {
      const next = START.lastIndex;
      const found = this.#found(match[0], match.index, done, to, bold);
      if (found) {
        if (found.start > done) parts.push({ kind: "text", text: this.text.slice(done, found.start) });
        parts.push(found.part);
        done = found.end;
      }
      START.lastIndex = found ? found.end : next;
    }
    if (to > done) parts.push({ kind: "text", text: this.text.slice(done, to) });
    return parts;
  }

  #found(sign: string, at: number, from: number, to: number, bold: boolean): Found | null {
    switch (sign) {
      case "*":
        return bold ? this.#bold(at) : null;
      case "`":
        return (bold ? this.#block(at) : null) ?? this.#code(at, to);
      case "@":
        return this.#mailbox(at, from, to);
      default:
        return this.#address(at, sign, to);
    }
  }

  #address(at: number, sign: string, to: number): Found | null {
    const isBare = sign.includes(".");
    const before = this.text[at - 1] ?? " ";
    // Of a longer word, another scheme, a mailbox.
    if ((isBare ? /[\w.@/]/ : /[\w+]/).test(before) && !isMark(this.text, at - 1)) return null;
    if (isBare && !/^[^\s.:/?#]{1,63}\.\p{L}/u.test(this.text.slice(at + sign.length, at + 70))) return null;
    const end = Math.min(to, endOfAddress(this.text, at, at + sign.length));
    if (end <= at + sign.length) return null;
    const text = this.text.slice(at, end);
    const href = isBare ? `https://${text}` : text;
    // What is no address is read as text once, and not again from its middle.
    const part: Part = isWebAddress(href) ? { kind: "link", text, href } : { kind: "text", text };
    return { part, start: at, end };
  }

  #mailbox(at: number, from: number, to: number): Found | null {
    let start = at;
    while (start > from && at - start <= MAILBOX_MAX && MAILBOX.test(this.text[start - 1] as string)) start -= 1;
    while (start < at && !/[\w]/.test(this.text[start] as string)) start += 1;
    if (start === at || at - start > MAILBOX_MAX || this.text[at - 1] === ".") return null;
    DOMAIN.lastIndex = at + 1;
    const domain = DOMAIN.exec(this.text)?.[0];
    if (domain === undefined || !TOP_LEVEL.test(domain)) return null;
    const unspaced = domain.search(UNSPACED);
    const shown = unspaced > 0 && LATIN.test(domain[unspaced - 1] as string) ? domain.slice(0, unspaced) : domain;
    const end = at + 1 + shown.length;
    if (end > to || !TOP_LEVEL.test(shown) || this.text[end] === "@") return null;
    const text = this.text.slice(start, end);
    return { part: { kind: "link", text, href: `mailto:${encodeURI(text)}` }, start, end };
  }

  /** `*bold*`: around whole words of one line. */
  #bold(at: number): Found | null {
    const { text } = this;
    if ((at > 0 && WORD.test(text[at - 1] as string)) || !/[^\s*]/.test(text[at + 1] ?? " ")) return null;
    if (at < this.#noneUntil["*"]) return null;
    const lineEnd = this.#lineEnd(at);
    for (let end = text.indexOf("*", at + 2); end !== -1 && end < lineEnd; end = text.indexOf("*", end + 1)) {
      if (/\s/.test(text[end - 1] as string) || WORD.test(text[end + 1] ?? " ") || text[end + 1] === "*") continue;
      return { part: { kind: "bold", parts: this.parts(at + 1, end, false) }, start: at, end: end + 1 };
    }
    this.#noneUntil["*"] = lineEnd;
    return null;
  }

  /** `code`, of one line. */
  #code(at: number, to: number): Found | null {
    if (at < this.#noneUntil["`"]) return null;
    const lineEnd = Math.min(to, this.#lineEnd(at));
    const end = this.text.indexOf("`", at + 1);
    if (end === -1 || end >= lineEnd) {
      this.#noneUntil["`"] = lineEnd;
      return null;
    }
    const text = this.text.slice(at + 1, end);
    return text.trim() === "" ? null : { part: { kind: "code", text }, start: at, end: end + 1 };
  }

  /** Three backticks, lines, three backticks; the name of a language may stand behind the first. */
  #block(at: number): Found | null {
    if (!this.text.startsWith(FENCE, at) || at < this.#noneUntil[FENCE]) return null;
    const end = this.text.indexOf(FENCE, at + FENCE.length);
    if (end === -1) {
      this.#noneUntil[FENCE] = this.text.length;
      return null;
    }
    const inner = this.text.slice(at + FENCE.length, end);
    const text = inner.replace(/^[\w+#.-]{0,20}\n/, "").replace(/\n$/, "");
    if (text.trim() === "") return null;
    // The block is a line of its own: what ended the lines around it would be empty ones.
    const isLine = this.text[end + FENCE.length] === "\n";
    return { part: { kind: "block", text }, start: at, end: end + FENCE.length + (isLine ? 1 : 0) };
  }

  #lineEnd(at: number): number {
    if (at >= this.#line) {
      const end = this.text.indexOf("\n", at);
      this.#line = end === -1 ? this.text.length : end;
    }
    return this.#line;
  }
}

/** A mark of somebody's habit before a word: no part of it. */
function isMark(text: string, at: number): boolean {
  return text[at] === "_" && !WORD.test(text[at - 1] ?? " ");
}

export function partsOf(text: string): Part[] {
  return new Reader(text).parts(0, text.length, true);
}
