import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  cacheDir: ".vite",
  optimizeDeps: { include: ["react", "react/jsx-dev-runtime", "react-dom", "react-dom/client"] },
  server: { host: "127.0.0.1", fs: { strict: false }, proxy: { "/api": process.env["TIDINGS_SERVER"] ?? "" } },
  preview: { host: "127.0.0.1" },
});
