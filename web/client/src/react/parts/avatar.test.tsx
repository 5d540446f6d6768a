// @vitest-environment happy-dom
import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { Avatar } from "./avatar.js";

afterEach(cleanup);

/** What stands in the place of a picture: letters, or the name of the drawing. */
function shown(name: string): string {
  const { container } = render(<Avatar person={{ id: "b", name, avatar_url: null }} />);
  return container.querySelector("svg")?.classList[1] ?? container.textContent;
}

it.each([
  ["Ben Okri", "BO"],
  ["ben", "B"],
  ["Chloé de la Tour", "CT"],
  ["ada@tidings.example", "AE"],
  ["user 42", "U4"],
  ["C<", "C"],
  ["<3 Mia", "3M"],
  ["“Max” (home)", "MH"],
  ["🌊 Wave", "W"],
  ["Łukasz", "Ł"],
  ["e\u0301va", "E\u0301"],
  ["नमिता क्षेत्री", "नक्षे"],
  ["محمد علي", "مع"],
  ["김민지", "김"],
])("of %j the initials are %j: first letters or digits, as whole characters", (name, initials) => {
  expect(shown(name)).toBe(initials);
});

it.each(["🦊", "👩‍👩‍👧", "🇩🇪", "1️⃣", "<>", "?", " ", ""])(
  "of %j, which has neither, it is a drawing of somebody",
  (name) => {
    expect(shown(name)).toBe("tidings-icon-person");
  },
);
