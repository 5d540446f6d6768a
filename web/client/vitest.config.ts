import { defineConfig } from "vitest/config";

/** The core's tests run in plain Node; a React test file asks for happy-dom with a `@vitest-environment` comment. */
export default defineConfig({
  test: {
    include: ["test/**/*.test.{ts,tsx}", "src/**/*.test.{ts,tsx}"],
    environment: "node",
    testTimeout: 10_000,
    maxWorkers: 2,
  },
});
