import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // The package lies beside this example and is not built: take its source. A published one needs no line here.
  resolve: { conditions: ["tidings-source", "module", "browser", "development|production"] },
  server: { proxy: { "^/(api|auth)/": "http://127.0.0.1:8000" } },
});
