import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

/** Each room, and those that it may import from beside itself; ARCHITECTURE.md, "Layout", says what they hold. */
const MAY_IMPORT: Record<string, string[]> = {
  // Public types, those of the wire, values that can be watched, and what an application hears.
  ground: [],
  wire: ["ground"],
  http: ["ground", "wire"],
  device: ["ground", "wire", "http"],
  connection: ["ground", "wire", "http"],
  state: ["ground", "wire", "http", "device", "connection"],
  service: ["ground", "wire", "http", "device", "connection", "state"],
  "react/words": [],
  // The screen sees the client as its public face shows it.
  "react/root": ["ground", "service", "react/words"],
  "react/parts": ["ground", "react/words", "react/root"],
  "react/thread": ["ground", "react/words", "react/root", "react/parts"],
  "react/inbox": ["ground", "react/words", "react/root", "react/parts"],
  "react/screen": ["ground", "react/words", "react/root", "react/parts", "react/thread", "react/inbox"],
  "react/launcher": ["ground", "react/words", "react/root", "react/parts", "react/screen"],
  // What a page without a build imports; it looks at whom the page means, and stands in a place of its own.
  embed: [
    "ground",
    "http",
    "service",
    "react/words",
    "react/root",
    "react/parts",
    "react/inbox",
    "react/screen",
    "react/launcher",
  ],
  // What an application imports.
  entry: [
    "ground",
    "service",
    "react/words",
    "react/root",
    "react/parts",
    "react/thread",
    "react/inbox",
    "react/screen",
    "react/launcher",
  ],
};
const ENTRIES = ["index.ts", "guide.ts", "react/index.ts"];
const GROUND = ["types.ts", "wire/types.ts", "store.ts", "listeners.ts"];

const source = fileURLToPath(new URL("../src/", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
  (name) => /\.tsx?$/.test(name) && !name.includes(".test."),
);

function roomOf(file: string): string {
  if (ENTRIES.includes(file)) return "entry";
  if (GROUND.includes(file)) return "ground";
  if (file === "service.ts") return "service";
  const folder = dirname(file);
  return folder === "react" ? "react/root" : folder;
}

/** The files that this one imports, types too. */
function importsOf(file: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(source, file), "utf8"));
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith(".") && !name.includes(".css"))
    .map((name) => {
      const path = join(source, dirname(file), name.replace(/\.js$/, ""));
      return relative(source, existsSync(`${path}.ts`) ? `${path}.ts` : `${path}.tsx`);
    });
}

const graph = new Map(files.map((file) => [file, importsOf(file)]));

describe("the rooms of the client", () => {
  it("import from those that they may, and from no other", () => {
    const crossed = [...graph].flatMap(([file, imported]) => {
      const room = roomOf(file);
      return imported
        .filter((other) => roomOf(other) !== room && !MAY_IMPORT[room]?.includes(roomOf(other)))
        .map((other) => `${file} → ${other}`);
    });
    expect(files.length).toBeGreaterThan(80);
    expect(crossed).toEqual([]);
  });

  it("are all in the list, which names no other and has no circle", () => {
    expect(Object.keys(MAY_IMPORT).sort()).toEqual([...new Set(files.map(roomOf))].sort());
    // A room may import from those that stand above it in the list only.
    const rooms = Object.keys(MAY_IMPORT);
    const upwards = rooms.flatMap((room, at) =>
      (MAY_IMPORT[room] ?? []).filter((other) => !rooms.slice(0, at).includes(other)),
    );
    expect(upwards).toEqual([]);
  });

  it("hold no files that import each other in a circle", () => {
    const done = new Set<string>();
    const visit = (file: string, way: string[]): string[] => {
      if (way.includes(file)) return [[...way.slice(way.indexOf(file)), file].join(" → ")];
      if (done.has(file)) return [];
      const found = (graph.get(file) ?? []).flatMap((other) => visit(other, [...way, file]));
      done.add(file);
      return found;
    };
    expect(files.flatMap((file) => visit(file, []))).toEqual([]);
  });
});
