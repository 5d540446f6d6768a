import { describe, expect, it } from "vitest";
import { partsOf, type Part } from "./text-parts.js";

/** What the text became, link by link. */
function links(text: string): string[] {
  const within = (parts: readonly Part[]): string[] =>
    parts.flatMap((part) => (part.kind === "link" ? [part.text] : part.kind === "bold" ? within(part.parts) : []));
  return within(partsOf(text));
}

describe("a link ends where a reader would end it", () => {
  it.each([
    ["see https://example.com/a?b=1#c.", "https://example.com/a?b=1#c"],
    ["(https://example.com/a)", "https://example.com/a"],
    ["(see https://example.com/a, or call)", "https://example.com/a"],
    ["https://example.com/wiki/A_(b)", "https://example.com/wiki/A_(b)"],
    ["https://example.com/wiki/A_(b).", "https://example.com/wiki/A_(b)"],
    ["(https://example.com/wiki/A_(b))", "https://example.com/wiki/A_(b)"],
    ["[the page](https://example.com/a)-side", "https://example.com/a"],
    ["https://example.com/a(", "https://example.com/a"],
    ["https://example.com/wiki/Murphy's_law", "https://example.com/wiki/Murphy's_law"],
    ["https://example.com/wiki/Murphy’s_law", "https://example.com/wiki/Murphy’s_law"],
    ["https://example.com's page", "https://example.com"],
    ["https://example.com/a's page", "https://example.com/a"],
    ["'https://example.com/a'", "https://example.com/a"],
    ["“https://example.com/a”", "https://example.com/a"],
    ["‘https://example.com/a’", "https://example.com/a"],
    ["«https://example.com/a»", "https://example.com/a"],
    ["„https://example.com/a“", "https://example.com/a"],
    ["„https://example.com/a”,", "https://example.com/a"],
    ["<https://example.com/a>", "https://example.com/a"],
    ["_https://example.com/a_", "https://example.com/a"],
    ["https://example.com/a_", "https://example.com/a_"],
    ["https://example.com/a/?!", "https://example.com/a/"],
    ["https://example.com/Michelson–Morley", "https://example.com/Michelson–Morley"],
    ["https://example.com/a—and so on", "https://example.com/a"],
    ["https://example.com/a…", "https://example.com/a"],
    ["https://example.com/a/🎉", "https://example.com/a/"],
    ["https://example.com/Übersicht,", "https://example.com/Übersicht"],
    ["https://example.com/страница.", "https://example.com/страница"],
    ["https://example.com/صفحة؟", "https://example.com/صفحة"],
    ["https://example.com/a،", "https://example.com/a"],
    ["https://example.com/a。次の文", "https://example.com/a"],
    ["「https://example.com/a」です", "https://example.com/a"],
    ["https://example.com/a、https", "https://example.com/a"],
    ["（https://example.com/a）", "https://example.com/a"],
    ["https://example.com/a！", "https://example.com/a"],
    ["看https://example.com/a吧", "https://example.com/a"],
    ["https://example.com에서", "https://example.com"],
    ["https://ja.example.org/wiki/日本語", "https://ja.example.org/wiki/日本語"],
    ["https://例え.jp/", "https://例え.jp/"],
    ["HTTP://EXAMPLE.COM!", "HTTP://EXAMPLE.COM"],
    ["http://localhost:8000/a", "http://localhost:8000/a"],
    ["http://[::1]:8000/a", "http://[::1]:8000/a"],
    ["-https://example.com", "https://example.com"],
    ["https://example.com/?u=https://b.example/c", "https://example.com/?u=https://b.example/c"],
    ["www.example.com.", "www.example.com"],
    ["(www.example.com/a)", "www.example.com/a"],
    ["write to ben@example.com.", "ben@example.com"],
    ["<ben.l+shop@example.co.uk>", "ben.l+shop@example.co.uk"],
    ["写信到ben@example.com吧", "ben@example.com"],
  ])("in %s", (text, address) => {
    expect(links(text)).toEqual([address]);
  });

  it("where texts without spaces stand around several", () => {
    expect(links("《…》当当网http://t.cn/RUy3HJN《…》亚马逊http://t.cn/RUyQxlU")).toEqual([
      "http://t.cn/RUy3HJN",
      "http://t.cn/RUyQxlU",
    ]);
    expect(links("https://a.example/b,https://c.example/d")).toEqual(["https://a.example/b", "https://c.example/d"]);
    expect(links("*https://a.example/b* and `https://c.example`")).toEqual(["https://a.example/b"]);
  });

  it.each([
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://example.com",
    "https://",
    "http://.",
    "file:///etc",
    "git+https://example.com",
    "xhttps://example.com",
    "www.",
    "www.example",
    "www..com",
    "foo.www.example.com",
    "@ben",
    "ben@",
    "ben@example",
    "a@b@example.com@",
    "tel:123",
    "example.com",
    "https://exa mple".slice(0, 8),
  ])("and %s is none", (text) => {
    expect(links(text)).toEqual([]);
  });

  it("has the address of what has no scheme", () => {
    expect(partsOf("www.example.com")).toEqual([
      { kind: "link", text: "www.example.com", href: "https://www.example.com" },
    ]);
    expect(partsOf("ben@example.com")).toEqual([
      { kind: "link", text: "ben@example.com", href: "mailto:ben@example.com" },
    ]);
  });
});

describe("what is written with marks", () => {
  it("is bold between asterisks around words, code between backticks", () => {
    expect(partsOf("It is *much* faster: `a * b`.")).toEqual([
      { kind: "text", text: "It is " },
      { kind: "bold", parts: [{ kind: "text", text: "much" }] },
      { kind: "text", text: " faster: " },
      { kind: "code", text: "a * b" },
      { kind: "text", text: "." },
    ]);
  });

  it.each([
    "2*3*4",
    "* a list\n* of two",
    "a * b * c",
    "**",
    "***",
    "*a\nb*",
    "`",
    "``",
    "` `",
    "`a\nb`",
    "```",
    "``` ```",
  ])("is what it is in %j", (text) => {
    const parts = partsOf(text);
    expect(parts.map((part) => (part.kind === "text" ? part.text : part.kind)).join("")).toBe(text);
  });

  it("is a block between lines of three backticks, with or without a language", () => {
    expect(partsOf("Look:\n```python\nif *a*:\n    b()\n```\nThat is all.")).toEqual([
      { kind: "text", text: "Look:\n" },
      { kind: "block", text: "if *a*:\n    b()" },
      { kind: "text", text: "That is all." },
    ]);
    expect(partsOf("```one line```")).toEqual([{ kind: "block", text: "one line" }]);
  });

  it("loses no letter of what was typed", () => {
    const text = "a *b* `c` www.d.org/e ```\nf\n``` *g https://h.org/(i) j@k.org* l";
    const said = (parts: readonly Part[]): string =>
      parts.map((part) => (part.kind === "bold" ? said(part.parts) : part.text)).join("");
    expect(said(partsOf(text))).toBe(text.replaceAll(/[*`\n]/g, ""));
  });
});

describe("a stranger's text", () => {
  const N = 200_000;
  it.each([
    ["closing brackets", `https://a.b/${")".repeat(N)}`],
    ["opening brackets", `https://a.b/${"(".repeat(N)}`],
    ["full stops", `https://a.b/${".".repeat(N)}`],
    ["brackets and stops", `https://a.b/${").".repeat(N / 2)}`],
    ["schemes", "http://".repeat(N / 7)],
    ["schemes without hosts", "http://^".repeat(N / 8)],
    ["schemes and commas", "http://,".repeat(N / 8)],
    ["www", "www.".repeat(N / 4)],
    ["www and commas", "www.,".repeat(N / 5)],
    ["at signs", "@".repeat(N)],
    ["mailboxes", "a@".repeat(N / 2)],
    ["long mailboxes", `${"a".repeat(70)}@`.repeat(N / 71)],
    ["domains of dashes", `a@b${"-".repeat(60)}`.repeat(N / 63)],
    ["asterisks", "*".repeat(N)],
    ["asterisks that open", "*a ".repeat(N / 3)],
    ["asterisks that close", "a* ".repeat(N / 3)],
    ["bold words", "*a* ".repeat(N / 4)],
    ["backticks", "`".repeat(N)],
    ["code", "`a` ".repeat(N / 4)],
    ["lines with a backtick", "`a\n".repeat(N / 3)],
    ["fences", "``` ".repeat(N / 4)],
    ["one word", "x".repeat(N)],
    ["a word of many links", "https://a.b/".repeat(N / 12)],
    ["underscores", `_https://a.b/${"_".repeat(N)}`],
  ])("takes no longer than its length: %s", (_, text) => {
    /** Of this process, so that others on the machine do not count. */
    const spent = (length: number): number => {
      const from = process.cpuUsage().user;
      partsOf(text.slice(0, length));
      return process.cpuUsage().user - from;
    };
    const [, ...few] = [0, 1, 2, 3].map(() => spent(N / 8));
    const many = [0, 1, 2].map(() => spent(N));
    // Eight times the text takes about eight times as long; what is quadratic takes sixty-four times as long.
    expect(Math.min(...many)).toBeLessThan(30 * Math.max(...few) + 20_000);
  });
});
