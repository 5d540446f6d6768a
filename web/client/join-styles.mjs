/**
 * Joins src/react/styles into the one stylesheet of the package, dist/styles.css, in the order of its index.
 *
 * A host's tools need to understand nothing but plain CSS, and its browser makes one request.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const folder = new URL("src/react/styles/", import.meta.url);
const index = readFileSync(new URL("index.css", folder), "utf8");
const parts = [...index.matchAll(/^@import "\.\/([\w-]+\.css)";$/gm)].map(([, name]) => name);
if (parts.length === 0) throw new Error(`${folder.pathname}index.css imports nothing`);

mkdirSync(new URL("dist/", import.meta.url), { recursive: true });
writeFileSync(
  new URL("dist/styles.css", import.meta.url),
  parts.map((name) => readFileSync(new URL(name, folder), "utf8")).join("\n"),
);
