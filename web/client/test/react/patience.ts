/**
 * How long a test waits for what the screen should show soon: as long as a busy machine may take. The library's own second
 * is a statement about machines.
 */
if (typeof document !== "undefined") {
  const { configure } = await import("@testing-library/react");
  configure({ asyncUtilTimeout: 30_000 });
}

export {};
