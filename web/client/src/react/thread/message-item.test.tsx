// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { MessageItem } from "./message-item.js";
import type { Tick } from "../words/en.js";
import type { Bubble } from "./rows.js";

afterEach(cleanup);

/** An own message that was written this long ago. */
function shown(tick: Tick, ageMs: number) {
  const at = new Date(Date.now() - ageMs).toISOString();
  const bubble: Bubble = {
    own: true,
    type: "text",
    text: "hello",
    at,
    tick,
    seq: null,
    clientId: "c1",
    problem: tick === "failed" ? "It could not be sent for 48 hours." : null,
    problemCode: null,
    first: true,
    last: true,
  };
  const onRetry = vi.fn();
  const onDelete = vi.fn();
  const nothing = () => undefined;
  render(
    <MessageItem
      {...{
        rowKey: "c:c1",
        bubble,
        peerName: "Ben",
        tabStop: true,
        unread: false,
        arrives: false,
        onFocus: nothing,
        onFold: nothing,
        onMenu: nothing,
        onRetry,
        onDelete,
      }}
    />,
  );
  return { onRetry, onDelete };
}

it.each(["sending", "waiting"] as const)(
  "%s for ten seconds it says so, and can be tried now or cancelled",
  async (tick) => {
    const { onRetry, onDelete } = shown(tick, 10_500);
    expect(await screen.findByText("Still sending")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Try now" }));
    fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect([onRetry.mock.calls, onDelete.mock.calls]).toEqual([[["c1"]], [["c1"]]]);
  },
);

it("before that it says nothing", () => {
  shown("sending", 0);
  expect(screen.queryByText("Still sending")).toBeNull();
});

// shows: complaints/4
it("while the server is asked about a cancelled one, there is nothing to press", () => {
  shown("cancelling", 60_000);
  expect(screen.getByTitle("Cancelling")).toBeTruthy();
  expect(screen.queryAllByRole("button").map((button) => button.title)).toEqual(["Actions"]);
});

it("one that was not sent says why, and can be retried or deleted", () => {
  const { onRetry, onDelete } = shown("failed", 60_000);
  expect(screen.getByText(/could not be sent for 48 hours/)).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Retry" }));
  fireEvent.click(screen.getByRole("button", { name: "Delete" }));
  expect([onRetry.mock.calls, onDelete.mock.calls]).toEqual([[["c1"]], [["c1"]]]);
});
