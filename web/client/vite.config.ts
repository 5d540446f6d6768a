/**
 * The script for pages without a build, `embed.js`: `src/embed` with React, the styles and the licences of all that is in it.
 * `npm run build` puts it into the package, hatch_build.py beside the served page.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));

/** The licences of a package that was bundled, and of this one, as a comment at the beginning: whoever copies the file has them. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        const folders = Object.keys(chunk.modules).flatMap(
          (id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id) ?? [],
        );
        const named = new Map<string, string[]>([[licenceIn(here), ["tidings"]]]);
        for (const folder of [...new Set(folders)].sort()) {
          const { name } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as { name: string };
          const text = licenceIn(folder);
          named.set(text, [...(named.get(text) ?? []), name]);
        }
        const texts = [...named].map(([text, names]) => `${names.join(", ")}\n\n${text}`);
        chunk.code = `/*!\n${texts.join("\n\n").replaceAll("*/", "* /")}\n*/\n${chunk.code}`;
      }
    },
  };
}

function licenceIn(folder: string): string {
  const name = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  if (name === undefined) throw new Error(`${folder} has no licence that could be passed on`);
  return readFileSync(`${folder}/${name}`, "utf8").trim();
}

export default defineConfig({
  plugins: [licences()],
  resolve: { conditions: ["module", "browser", "production"] },
  define: { "process.env.NODE_ENV": '"production"' },
  oxc: { jsx: { runtime: "automatic", development: false } },
  build: {
    outDir: "dist",
    emptyOutDir: false,
    copyPublicDir: false,
    modulePreload: false,
    target: ["chrome123", "firefox121", "safari17.5"],
    rollupOptions: {
      input: `${here}src/embed/index.tsx`,
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "embed.js", format: "es" },
    },
  },
});
