// @vitest-environment happy-dom
import { act, cleanup, render, screen } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { dayText } from "../words/time-text.js";
import { useToday } from "./today.js";
import { english } from "../words/en.js";

const EVENING = new Date(2026, 2, 10, 23, 59, 50);

function Day(): ReactNode {
  return <p>{dayText(EVENING.toISOString(), useToday(), english)}</p>;
}

beforeEach(() => {
  vi.useFakeTimers({ now: EVENING });
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

it("a message that was written today was written yesterday when midnight is past", () => {
  render(<Day />);
  expect(screen.getByText("Today")).toBeTruthy();
  act(() => void vi.advanceTimersByTime(11_000));
  expect(screen.getByText("Yesterday")).toBeTruthy();
  act(() => void vi.advanceTimersByTime(86_400_000));
  expect(screen.queryByText("Yesterday")).toBeNull();
});

it("also when the machine slept over midnight, as soon as the page is seen again", () => {
  render(<Day />);
  vi.setSystemTime(new Date(2026, 2, 11, 8, 0, 0));
  act(() => void document.dispatchEvent(new Event("visibilitychange")));
  expect(screen.getByText("Yesterday")).toBeTruthy();
});
