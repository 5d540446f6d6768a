// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from "vitest";
import { chooseLanguage, inLanguage, languageOf } from "./language.js";
import { arabic, english } from "./words.js";

describe("the language of the page", () => {
  it.each([
    ["", ["de-DE", "ar-EG", "en"], "ar"],
    ["", ["en-GB", "ar"], "en"],
    ["", ["de"], "en"],
    ["?lang=ar", ["en-GB"], "ar"],
    ["?lang=AR-ma&as=ada", ["en"], "ar"],
    ["?lang=tlh", ["ar"], "ar"],
    ["?lang=constructor", ["en"], "en"],
  ])("asked by %j, in a browser of %j, is %s", (search, browser, name) => {
    expect(languageOf(search, browser)).toBe(name);
  });

  describe("asked for in the address", () => {
    beforeEach(() => history.replaceState(null, "", "/?lang=ar"));

    it("is the document's, and the chat's", async () => {
      const { page, chat } = await chooseLanguage();
      expect(page).toBe(arabic);
      expect(chat.lang).toBe("ar");
      expect(document.documentElement).toMatchObject({ lang: "ar", dir: "rtl" });
    });

    it("is kept by the links of the page", () => {
      expect(inLanguage({ as: "ada & co" })).toBe("?as=ada+%26+co&lang=ar");
      expect(inLanguage({})).toBe("?lang=ar");
    });
  });

  it("of links is not named where nobody asked for one", () => {
    history.replaceState(null, "", "/");
    expect(inLanguage({})).toBe("./");
    expect(inLanguage({ as: "ada" })).toBe("?as=ada");
  });
});

it("each language says the same things", () => {
  const shape = (words: object) => Object.entries(words).map(([key, value]) => [key, typeof value]);
  expect(shape(arabic)).toEqual(shape(english));
  const called = (value: unknown): unknown => (value as (...numbers: number[]) => unknown)(7, 7);
  const said = Object.values(arabic).map((value) => String(typeof value === "function" ? called(value) : value));
  expect(said.filter((text) => !/\p{Script=Arabic}/u.test(text) || /\p{Script=Latin}/u.test(text))).toEqual([]);
});
