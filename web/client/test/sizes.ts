import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const source = fileURLToPath(new URL("../src/", import.meta.url));

/** What a bundler makes of this module and all that it imports: bytes, minified and packed by gzip; without React. */
export async function packedSize(module: string): Promise<number> {
  const { output } = (await build({
    root: source,
    configFile: false,
    logLevel: "silent",
    // As for use; the tests' own mode would take the development runtime of React along.
    oxc: { jsx: { runtime: "automatic", development: false } },
    build: {
      write: false,
      minify: true,
      target: "es2022",
      modulePreload: false,
      rollupOptions: {
        input: source + module,
        external: ["react", "react/jsx-runtime"],
        preserveEntrySignatures: "strict",
      },
    },
  })) as { output: ({ type: "chunk"; code: string } | { type: "asset"; source: string | Uint8Array })[] };
  const file = output[0];
  if (!file) throw new Error(`nothing came of ${module}`);
  return gzipSync(file.type === "chunk" ? file.code : file.source, { level: 9 }).length;
}

/** The script that the package has for pages without a build, with all that is in it. */
export async function packedScript(): Promise<number> {
  const configFile = fileURLToPath(new URL("../vite.config.ts", import.meta.url));
  const built = (await build({ configFile, logLevel: "silent", build: { write: false } })) as {
    output: { type: string; fileName: string; code: string }[];
  };
  if (built.output.length !== 1)
    throw new Error(`more than one file: ${built.output.map((each) => each.fileName).join()}`);
  return gzipSync(built.output[0]?.code ?? "", { level: 9 }).length;
}
