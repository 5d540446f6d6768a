import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // The package lies beside this example, linked and not built: take its source, with the React of this application.
  // A published one needs no line here, nor the last two of tsconfig.json.
  resolve: { conditions: ["tidings-source", "module", "browser", "development|production"], preserveSymlinks: true },
  server: { proxy: { "^/(api|auth)/": "http://127.0.0.1:8000" } },
});
