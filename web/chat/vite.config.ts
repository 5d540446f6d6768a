import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/**
 * Builds the page into the Python package. The server's content policy allows nothing inline, so no asset becomes a data
 * URL or a style in the page; addresses are relative, so that the page works under any path.
 */
export default defineConfig({
  base: "./",
  plugins: [react()],
  resolve: { conditions: ["tidings-source", "module", "browser", "development|production"] },
  build: {
    outDir: "../../src/tidings/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    license: { fileName: "licenses.md" }, // of what is bundled: whoever passes the page on passes these on
    modulePreload: { polyfill: false },
    target: ["chrome123", "firefox121", "safari17.5"],
  },
  server: { proxy: { "^/(api|demo|page\\.json)": process.env["TIDINGS_SERVER"] ?? "http://127.0.0.1:8000" } },
});
