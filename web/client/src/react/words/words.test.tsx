// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryServer, problem } from "../../../test/react/server.js";
import { RealtimeService } from "../../service.js";
import { ChatScreen, counterOf, english, Inbox, TidingsProvider, type Words } from "../index.js";
import { arabic } from "./ar.js";

const ARABIC = /\p{Script=Arabic}/u;
const LATIN = /\p{Script=Latin}/u;

/** Every sentence of a language, with its path; functions are called with numbers where they take them. */
function sentences(words: object, path = ""): [string, string][] {
  return Object.entries(words).flatMap(([key, value]: [string, unknown]): [string, string][] => {
    const at = path === "" ? key : `${path}.${key}`;
    if (typeof value === "string") return [[at, value]];
    if (typeof value === "function") return [[at, (value as (...args: unknown[]) => string)(7, 7, 7, 7)]];
    return sentences(value as object, at);
  });
}

describe("Arabic", () => {
  it("has a sentence wherever English has one, and no Latin letter in it", () => {
    const said = sentences(arabic).filter(([path]) => path !== "lang" && path !== "dir");
    // Sentences that are nothing but what they are given, and those without a cause to name.
    const bare = ["badge", "titleWithUnread", "messageName", "refusal", "cause"];
    expect(said.filter(([path, text]) => !bare.includes(path) && !ARABIC.test(text))).toEqual([]);
    expect(said.filter(([, text]) => LATIN.test(text))).toEqual([]);
    expect(said.map(([path]) => path).sort()).toEqual(
      sentences(english)
        .map(([path]) => path)
        .filter((path) => path !== "lang" && path !== "dir")
        .sort(),
    );
  });

  it.each([
    [1, "رسالة جديدة واحدة"],
    [2, "رسالتان جديدتان"],
    [3, "# رسائل جديدة"],
    [11, "# رسالة جديدة"],
    [100, "# رسالة جديدة"],
    [103, "# رسائل جديدة"],
  ])("has the plural of %i", (number, text) => {
    expect(arabic.newMessages(number)).toBe(text.replace("#", new Intl.NumberFormat("ar").format(number)));
  });

  it("has the digits of the user's own country", () => {
    const before = Object.getOwnPropertyDescriptor(navigator, "languages");
    Object.defineProperty(navigator, "languages", { value: ["ar-EG", "en"], configurable: true });
    try {
      expect(counterOf("ar").digits(103)).toBe("١٠٣");
    } finally {
      if (before) Object.defineProperty(navigator, "languages", before);
      else Reflect.deleteProperty(navigator, "languages");
    }
  });

  it.each(["not_allowed", "text_too_long", "expired"])("says a refusal for %s by its code", (code) => {
    expect(arabic.refusal(code, "in English")).toMatch(ARABIC);
  });

  it("leaves to the server what it has no words for", () => {
    expect(arabic.refusal("house_rules", "No parrots.")).toBe("No parrots.");
  });
});

describe("English", () => {
  it.each([
    [1, "1 new message"],
    [2, "2 new messages"],
  ])("has the plural of %i", (number, text) => {
    expect(english.newMessages(number)).toBe(text);
  });
});

describe("a screen in other words", () => {
  let server: MemoryServer;
  let client: RealtimeService;

  beforeEach(() => {
    server = new MemoryServer("سلمى");
    client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
  });

  afterEach(() => {
    cleanup();
    client.disconnect();
  });

  /** What is shown and what is read aloud. */
  function everyWord(): string {
    const named = [...document.querySelectorAll("[aria-label], [title], [placeholder]")].flatMap((element) =>
      ["aria-label", "title", "placeholder"].map((name) => element.getAttribute(name) ?? ""),
    );
    return [document.body.textContent, ...named].join("\n");
  }

  it("says nothing in English, and is laid out from the right", async () => {
    server.people.set("نور", { id: "نور", name: "نور", avatar_url: null });
    server.has("نور", "مرحبا");
    server.sendAnswers.push(() => problem(403, "not_allowed", "You cannot write to them."));
    render(
      <TidingsProvider client={client} words={arabic}>
        <Inbox rawIds chatUserId="نور" onOpen={() => undefined} onClose={() => undefined} hrefFor={(id) => `#${id}`} />
      </TidingsProvider>,
    );
    client.connect("سلمى");
    const list = await screen.findByRole("list", { name: arabic.messagesWith("نور") });
    expect(list.closest("section")).toMatchObject({ dir: "rtl", lang: "ar" });
    await waitFor(() => expect(client.isConnected()).toBe(true));
    const field = screen.getByRole("textbox", { name: arabic.composer("نور") });
    fireEvent.change(field, { target: { value: "أهلا" } });
    fireEvent.keyDown(field, { key: "Enter" });
    await waitFor(() => expect(screen.getAllByText(new RegExp(arabic.refusal("not_allowed", ""))).length).toBe(2));
    fireEvent.click(screen.getByRole("button", { name: arabic.more("نور") }));
    fireEvent.click(screen.getAllByRole("button", { name: arabic.newMessage })[0] as HTMLElement);
    fireEvent.keyDown(screen.getByRole("combobox"), { key: "Enter" });
    await screen.findByText(arabic.userId.empty);
    expect(everyWord()).not.toMatch(LATIN);
  });

  it("takes one word from the host and the rest from the language", () => {
    const words: Words = { ...english, send: "Post it" };
    render(
      <TidingsProvider client={client} words={words}>
        <ChatScreen chatUserId="ben" chatUserName="Ben" />
      </TidingsProvider>,
    );
    expect(screen.getByRole("button", { name: "Post it" })).toBeTruthy();
    expect(screen.getByRole("textbox", { name: "Message Ben" })).toBeTruthy();
    expect(screen.getByRole("region", { name: "Messages with Ben" })).toMatchObject({ dir: "ltr", lang: "en" });
  });

  it("says nothing about direction where nobody chose a language: the page's holds", () => {
    render(
      <TidingsProvider client={client}>
        <ChatScreen chatUserId="ben" chatUserName="Ben" />
      </TidingsProvider>,
    );
    expect(screen.getByRole("region", { name: "Messages with Ben" }).hasAttribute("dir")).toBe(false);
  });
});

describe("the source", () => {
  const NAMED = new Set([
    "aria-label",
    "aria-description",
    "aria-roledescription",
    "title",
    "placeholder",
    "alt",
    "label",
  ]);
  const folder = join(import.meta.dirname, "..");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".tsx") && !name.includes(".test."),
  );

  /** Letters that stand in the markup itself, and not in the words. */
  function hardCoded(file: string, text: string): string[] {
    const found: string[] = [];
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX);
    const isText = (node: ts.Node): node is ts.StringLiteralLike => ts.isStringLiteralLike(node);
    const add = (text: string): void => void (/\p{L}/u.test(text) && found.push(text.trim()));
    const visit = (node: ts.Node): void => {
      if (ts.isJsxText(node)) add(node.text);
      if (ts.isJsxExpression(node) && node.expression && isText(node.expression) && !ts.isJsxAttribute(node.parent)) {
        add(node.expression.text);
      }
      if (ts.isJsxAttribute(node) && NAMED.has(node.name.getText()) && node.initializer) {
        if (isText(node.initializer)) add(node.initializer.text);
        else if (ts.isJsxExpression(node.initializer) && node.initializer.expression) {
          const { expression } = node.initializer;
          if (isText(expression)) add(expression.text);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  }

  it("has no sentence in its markup", () => {
    expect(files).toContain(join("screen", "chat-screen.tsx"));
    expect(files.flatMap((name) => hardCoded(name, readFileSync(join(folder, name), "utf8")))).toEqual([]);
  });

  it.each(["<p>Hello</p>", '<p title="Hello" />', '<p aria-label={"Hello"} />', '<p>{"Hello"}</p>'])(
    "would be found to have one in %s",
    (markup) => {
      expect(hardCoded("x.tsx", `const x = ${markup};`)).toEqual(["Hello"]);
    },
  );
});
