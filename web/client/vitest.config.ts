import { defineConfig } from "vitest/config";

/** The core's tests run in plain Node; a React test file asks for happy-dom with a `@vitest-environment` comment. */
export default defineConfig({
  test: {
    include: ["test/**/*.test.{ts,tsx}", "src/**/*.test.{ts,tsx}"],
    environment: "node",
    setupFiles: ["test/react/patience.ts"],
    testTimeout: 120_000, // finds a test that hangs; how long one takes is the business of the machine
    maxWorkers: 2,
  },
});
