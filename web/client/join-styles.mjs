/**
 * Joins src/react/styles into the stylesheets of the package, in the order of its index: `node join-styles.mjs [FOLDER]`.
 *
 * - `styles.css`: with the guard. Its declarations are important, which in a cascade layer is stronger than whatever a host
 *   says outside of one: `* { margin: 0 }` does not take the screen apart. Tokens are not important: they are the host's.
 * - `open.css`: the same without the guard, for hosts that style the screen themselves: any unlayered rule of theirs wins.
 * - `styles.css.d.ts`: the types of both, which are none. A compiler that checks side-effect imports asks for them.
 *
 * A host's tools need to understand nothing but plain CSS, and its browser makes one request.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import postcss from "postcss";

const source = new URL("src/react/styles/", import.meta.url);
const target = resolve(process.argv[2] ?? fileURLToPath(new URL("dist", import.meta.url)));
const read = (name) => readFileSync(new URL(name, source), "utf8");

const parts = [...read("index.css").matchAll(/^@import "\.\/([\w-]+\.css)";$/gm)].map(([, name]) => name);
if (parts.length === 0) throw new Error("index.css imports nothing");

function guarded(text) {
  const sheet = postcss.parse(text);
  sheet.walkDecls((declaration) => {
    const isMoment = declaration.parent?.parent?.name === "keyframes"; // of an animation: important is an error there
    if (!isMoment && !declaration.prop.startsWith("--")) declaration.important = true;
  });
  return sheet.toString();
}

mkdirSync(target, { recursive: true });
writeFileSync(resolve(target, "open.css"), parts.map(read).join("\n"));
writeFileSync(resolve(target, "styles.css"), ["guard.css", ...parts].map((name) => guarded(read(name))).join("\n"));
writeFileSync(resolve(target, "styles.css.d.ts"), "export {};\n");
