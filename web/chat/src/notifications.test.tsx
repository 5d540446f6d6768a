// @vitest-environment happy-dom
import { act, cleanup, render, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { RealtimeService } from "tidings";
import { TidingsProvider } from "tidings/react";
import { MemoryServer } from "../../client/test/react/server.js";
import { allowNotifications, notificationPermission, useNotifications } from "./notifications.js";

let server: MemoryServer;
let client: RealtimeService;
let isFocused: boolean;
let shown: Notice[];
const opened: string[] = [];

/** The browser's own notification, as far as it is used. */
class Notice {
  static permission: NotificationPermission;
  static requestPermission = (): Promise<NotificationPermission> => Promise.resolve((Notice.permission = "granted"));
  onclick: (() => void) | null = null;
  close = vi.fn();
  constructor(
    readonly title: string,
    readonly options: NotificationOptions,
  ) {
    shown.push(this);
  }
}

beforeEach(() => {
  server = new MemoryServer("ada");
  client = new RealtimeService({ url: "http://127.0.0.1/api", environment: { fetch: server.fetch } });
  isFocused = false;
  shown = [];
  opened.length = 0;
  Notice.permission = "granted";
  vi.stubGlobal("Notification", Notice);
  vi.stubGlobal("isSecureContext", true);
  vi.spyOn(document, "hasFocus").mockImplementation(() => isFocused);
});

afterEach(() => {
  cleanup();
  client.disconnect();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function Notified({ isOn }: { isOn: boolean }): ReactNode {
  useNotifications(
    isOn,
    (id) => `Name of ${id}`,
    (id) => opened.push(id),
  );
  return null;
}

async function watch(isOn: boolean): Promise<string[]> {
  const heard: string[] = [];
  client.on("message", ({ text }) => heard.push(text));
  render(
    <TidingsProvider client={client}>
      <Notified isOn={isOn} />
    </TidingsProvider>,
  );
  client.connect("ada");
  await waitFor(() => expect(client.isConnected()).toBe(true));
  return heard;
}

async function receives(heard: string[], text: string): Promise<void> {
  act(() => void server.receives("ben", text));
  await waitFor(() => expect(heard).toContain(text));
}

it("a message that comes in the background is shown, and leads to its conversation", async () => {
  const heard = await watch(true);
  await receives(heard, "x".repeat(300));
  await receives(heard, "Hello?");
  expect(shown.map(({ title, options }) => [title, options.body, options.tag])).toEqual([
    ["Name of ben", "x".repeat(200), "tidings ada ben"],
    ["Name of ben", "Hello?", "tidings ada ben"],
  ]);
  shown[1]?.onclick?.();
  expect(opened).toEqual(["ben"]);
  expect(shown[1]?.close).toHaveBeenCalled();
});

it("nothing is shown of what one sees come, nor unless they are switched on and allowed", async () => {
  isFocused = true;
  await receives(await watch(true), "seen");
  isFocused = false;
  cleanup();
  await receives(await watch(false), "off");
  cleanup();
  Notice.permission = "denied";
  await receives(await watch(true), "denied");
  expect(shown).toEqual([]);
});

it("the browser is asked when they are switched on; a page without TLS has none", async () => {
  Notice.permission = "default";
  expect(await allowNotifications()).toBe(true);
  expect(notificationPermission()).toBe("granted");
  vi.stubGlobal("isSecureContext", false);
  expect(notificationPermission()).toBe("missing");
});
