import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";

const page = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../docs/embed/${name}`, import.meta.url)), "utf8");
/** Where the snippets would lie: within the package, which so can be imported by its name. */
const folder = fileURLToPath(new URL("./snippets/", import.meta.url));

/** A page's snippets as files, in a folder of the page; one that has a name may be imported by the others. */
function snippets(name: string): Map<string, string> {
  const found = [...page(name).matchAll(/^```(tsx?)(?: (\S+))?\n(.*?)^```$/gms)];
  return new Map(
    found.map(([, kind, file, code], at) => [`${folder}${name}/${file ?? `snippet-${at + 1}.${kind}`}`, code ?? ""]),
  );
}

function complaints(files: Map<string, string>): string[] {
  const options: ts.CompilerOptions = {
    ...ts.convertCompilerOptionsFromJson(
      {
        target: "ES2022",
        module: "ESNext",
        moduleResolution: "Bundler",
        lib: ["ES2022", "DOM", "DOM.Iterable"],
        jsx: "react-jsx",
        strict: true,
        noUncheckedIndexedAccess: true,
        exactOptionalPropertyTypes: true,
        noUnusedLocals: true,
        noEmit: true,
        skipLibCheck: true,
        noUncheckedSideEffectImports: false,
        types: [],
        customConditions: ["tidings-source"],
      },
      folder,
    ).options,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readFile(name);
  host.getSourceFile = (name, version, ...rest) => {
    const text = files.get(name);
    return text === undefined
      ? getSourceFile.call(host, name, version, ...rest)
      : ts.createSourceFile(name, text, version);
  };
  host.directoryExists = () => true;
  const program = ts.createProgram([...files.keys()], options, host);
  return ts
    .getPreEmitDiagnostics(program)
    .filter(({ file }) => file && files.has(file.fileName))
    .map(
      (each) =>
        `${each.file?.fileName.slice(folder.length)}: ${ts.flattenDiagnosticMessageText(each.messageText, " ")}`,
    );
}

it("the snippets of docs/embed are right for the compiler, which finds what is wrong", { timeout: 120_000 }, () => {
  const files = new Map([...snippets("react.md"), ...snippets("plain-page.md")]);
  expect(files.size).toBeGreaterThan(11);
  const wrong = 'import { useOutbox } from "tidings/react";\nexport const sent = () => useOutbox().sent;\n';
  expect(complaints(files.set(`${folder}wrong.ts`, wrong))).toEqual([
    "wrong.ts: Property 'sent' does not exist on type 'UnsentState'.",
  ]);
});

it("docs/embed/react.md names every hook and every property of the screen", () => {
  const source = (name: string) =>
    readFileSync(fileURLToPath(new URL(`../src/react/${name}`, import.meta.url)), "utf8");
  const react = page("react.md");
  const hooks = source("index.ts").match(/\buse[A-Z]\w+/g) ?? [];
  const props = /interface ChatScreenProps \{(.*?)^\}/ms.exec(source("screen/chat-screen.tsx"))?.[1] ?? "";
  const names = [...props.matchAll(/^ {2}(\w+)\??:/gm)].map((match) => match[1] as string);
  expect([hooks.length > 5, names.length > 5]).toEqual([true, true]);
  expect([...hooks, ...names].filter((name) => !react.includes(`\`${name}`) && !react.includes(`### ${name}`))).toEqual(
    [],
  );
});

it("what the pages show of an example stands in it", () => {
  const examples: Record<string, string> = {
    "address.ts": "react-host/src/address.ts",
    nextjs: "nextjs/server.py",
    vue: "vue/src/Chat.vue",
    svelte: "svelte/src/Chat.svelte",
  };
  const flat = (text: string): string => text.replace(/^ +/gm, "");
  const found = [...(page("react.md") + page("frameworks.md")).matchAll(/^```(?:ts|python) (\S+)\n(.*?)^```$/gms)];
  const shown = found.filter(([, name = ""]) => name !== "chat.ts");
  expect(shown.map(([, name]) => name)).toEqual(Object.keys(examples));
  for (const [, name = "", code = ""] of shown) {
    const example = readFileSync(
      fileURLToPath(new URL(`../../../examples/${examples[name]}`, import.meta.url)),
      "utf8",
    );
    expect(flat(example)).toContain(flat(code));
  }
});
