import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { isEmojiOnly, RichText } from "./rich-text.js";

/** The addresses that became links. */
function links(text: string): string[] {
  return [...renderToStaticMarkup(<RichText text={text} />).matchAll(/href="([^"]*)"/g)].map((match) => match[1] ?? "");
}

describe("text of a message", () => {
  it("is never HTML", () => {
    expect(renderToStaticMarkup(<RichText text={'<img src=x onerror="alert(1)">'} />)).toBe(
      "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;",
    );
  });

  it.each([
    ["see https://example.com/a?b=1#c.", "https://example.com/a?b=1#c"],
    ["(https://example.com/a)", "https://example.com/a"],
    ["https://example.com/wiki/A_(b)", "https://example.com/wiki/A_(b)"],
    ["HTTP://EXAMPLE.COM!", "HTTP://EXAMPLE.COM"],
  ])("makes a link of the address in %s", (text, address) => {
    expect(links(text)).toEqual([address]);
  });

  it.each(["javascript:alert(1)", "data:text/html,x", "ftp://example.com", "https://", "file:///etc"])(
    "leaves %s as text",
    (text) => {
      expect(links(text)).toEqual([]);
    },
  );

  it("draws bold and code, and still no HTML", () => {
    expect(renderToStaticMarkup(<RichText text="*<b>* `<i>`" />)).toBe("<b>&lt;b&gt;</b> <code>&lt;i&gt;</code>");
  });

  it("opens a link elsewhere, without handing over the page", () => {
    expect(renderToStaticMarkup(<RichText text="https://example.com" />)).toBe(
      '<a href="https://example.com" target="_blank" rel="noopener nofollow ugc">https://example.com</a>',
    );
  });

  it.each(["👍", "👍🏽🎉", "👨‍👩‍👧", "🇩🇪", "❤️", "1️⃣", "👨‍👩‍👧‍👦👩🏽‍❤️‍💋‍👨🏻", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏴󠁧󠁢󠁷󠁬󠁳󠁿", "🎉\n\n🎉", "🏳️‍🌈  🏴‍☠️"])(
    "takes %s for emoji alone",
    (text) => {
      expect(isEmojiOnly(text)).toBe(true);
    },
  );

  it.each(["1", "123", "#", "ok 👍", "👍👍👍👍", "", "©", "👍a", `👍${"\u0301".repeat(500)}`])(
    "does not take %s for emoji alone",
    (text) => {
      expect(isEmojiOnly(text)).toBe(false);
    },
  );
});
