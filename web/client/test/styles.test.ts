import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import postcss, { type AtRule, type Declaration, type Root, type Rule } from "postcss";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** The stylesheets of the package, as its build makes them: see join-styles.mjs. */
const built = mkdtempSync(join(tmpdir(), "tidings-styles-"));
const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const sheets = new Map<string, Root>();

beforeAll(() => {
  execFileSync(process.execPath, [path("../join-styles.mjs"), built]);
  for (const name of ["styles.css", "open.css"]) {
    sheets.set(name, postcss.parse(readFileSync(join(built, name), "utf8")));
  }
});
afterAll(() => rmSync(built, { recursive: true }));

/** What a host's tools make of `light-dark()` reads two properties of theirs; they have a value for the whole page. */
function isForTools(rule: unknown): boolean {
  const { selector, nodes } = rule as Rule;
  return (
    selector === ":where(:root)" && nodes.every((each) => (each as Declaration).prop.startsWith("--lightningcss-"))
  );
}

function sheet(name: string): Root {
  const found = sheets.get(name);
  if (!found) throw new Error(`the build made no ${name}`);
  return found;
}

/** The tokens that the styles read, with what they are where a host says nothing. */
function tokens(): Map<string, string> {
  const found = new Map<string, string>();
  sheet("open.css").walkDecls((declaration) => {
    for (const [, name = "", fallback = ""] of declaration.value.matchAll(/var\((--tidings-[\w-]+)(?:, (.*))?\)$/g)) {
      found.set(name, fallback);
    }
  });
  return found;
}

describe.each(["styles.css", "open.css"])("%s", (name) => {
  it("is one cascade layer, and nothing outside of it", () => {
    const outside = sheet(name).nodes.filter((node) => node.type !== "comment");
    expect(
      new Set(outside.map((node) => (node.type === "atrule" ? `@${node.name} ${node.params}` : node.type))),
    ).toEqual(new Set(["@layer tidings"]));
  });

  it("names only its own classes, and no element that is not inside of them", () => {
    const strange: string[] = [];
    sheet(name).walkRules((rule) => {
      if ((rule.parent as AtRule | undefined)?.name === "keyframes") return;
      for (const [, found = ""] of rule.selector.matchAll(/\.([\w-]+)/g)) {
        if (found !== "tidings" && !found.startsWith("tidings-")) strange.push(rule.selector);
      }
      const isNested = rule.parent?.type === "rule" || (rule.parent as AtRule).name === "container";
      for (const selector of rule.selectors) {
        // An attribute of ours stands beside a class of ours in each of them.
        if (!isNested && !selector.includes(".tidings") && !isForTools(rule)) strange.push(selector);
      }
    });
    expect(strange).toEqual([]);
  });

  it("brings no font, loads nothing, imports nothing", () => {
    const found: string[] = [];
    sheet(name).walkAtRules(/^(import|font-face|charset|namespace|property)$/, (rule) => void found.push(rule.name));
    sheet(name).walkDecls((declaration) => {
      if (/url\(|image-set\(|https?:/.test(declaration.value)) found.push(declaration.toString());
    });
    expect(found).toEqual([]);
  });

  it("asks for no width in the page's rem, which is 10 px in many a page, where the letters are the user's", () => {
    const asked: string[] = [];
    sheet(name).walkAtRules("container", ({ params }) => void asked.push(params));
    expect(asked.length).toBeGreaterThan(5);
    expect(asked.filter((params) => /\d\s*rem\b/.test(params))).toEqual([]);
  });

  it("reads --tidings-* and its own --t-*, sets only --t-*, and names its animations after itself", () => {
    const strange: string[] = [];
    sheet(name).walkDecls((declaration) => {
      const isOurs = declaration.prop.startsWith("--t-") || isForTools(declaration.parent);
      if (declaration.prop.startsWith("--") && !isOurs) strange.push(declaration.prop);
      for (const [, used = ""] of declaration.value.matchAll(/var\((--[\w-]+)/g)) {
        if (!/^--t(idings)?-/.test(used)) strange.push(used);
      }
    });
    sheet(name).walkAtRules(/keyframes$/, (rule) => {
      if (!rule.params.startsWith("tidings-")) strange.push(rule.params);
    });
    expect(strange).toEqual([]);
  });
});

it("has the guard in styles.css, where every declaration is important but tokens and moments of animations", () => {
  const weak: string[] = [];
  sheet("styles.css").walkDecls((declaration) => {
    const isMoment = (declaration.parent?.parent as AtRule | undefined)?.name === "keyframes";
    const isFree = isMoment || declaration.prop.startsWith("--");
    if (declaration.important === isFree) weak.push(declaration.toString());
  });
  expect(weak).toEqual([]);
  expect(readFileSync(join(built, "styles.css"), "utf8")).toContain("all: revert !important");
  expect(readFileSync(join(built, "open.css"), "utf8")).not.toContain("all: revert");
});

it("imports every part", () => {
  const parts = readdirSync(path("../src/react/styles")).filter((name) => !["index.css", "guard.css"].includes(name));
  const index = readFileSync(path("../src/react/styles/index.css"), "utf8");
  expect([...index.matchAll(/"\.\/(.*)"/g)].map(([, name]) => name).sort()).toEqual(parts.sort());
});

// A quarter of it is what hosts may set and what stands on that: grounds, lifts, corners, movements, in light and dark.
it.each([
  ["styles.css", 13_250], // 0.4 kB of it: the launcher; 43 bytes: keys are shown to a mouse beside a conversation
  ["open.css", 12_130], // 0.4 kB of it: the launcher; 0.1 kB: a list that stands alone while nobody is signed in, and a drawing of somebody
])("%s has at most %i bytes when packed", (name, budget) => {
  expect(gzipSync(readFileSync(join(built, name)), { level: 9 }).length).toBeLessThanOrEqual(budget);
});

it("has each token in docs/embed/theming.md, with what it is where nothing is said", () => {
  const document = readFileSync(path("../../../docs/embed/theming.md"), "utf8");
  const rows = [...document.matchAll(/^\| `(--tidings-[\w-]+)` \| (.*?) \| /gm)];
  const documented = new Map(rows.map(([, name = "", value = ""]) => [name, value.replaceAll("`", "")]));
  const said = new Map(
    [...tokens()].map(([name, value]) => [
      name,
      value.replace(/^light-dark\((.*), (.*)\)$/, "$1, dark $2").replace(/^var\(--t-([\w-]+)\)$/, "as --tidings-$1"),
    ]),
  );
  expect(documented).toEqual(said);
});
