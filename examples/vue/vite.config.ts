import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

const server = process.env["SERVER"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [vue()],
  server: { proxy: { "^/(api|sign-in)/": { target: server } } }, // as a text it would hide the page's host
});
