/** The corner of the page in which the launcher stands, and the launcher of somebody who is not signed in. */
import { forwardRef, type KeyboardEventHandler, type ReactNode } from "react";
import { MessagesIcon } from "../icons.js";
import { useLanguage, useWords } from "../words/context.js";

export type CornerName = "end" | "start";

interface CornerProps {
  corner: CornerName;
  onKeyDown?: KeyboardEventHandler;
  children: ReactNode;
}

export const Corner = forwardRef<HTMLDivElement, CornerProps>(function Corner({ corner, ...others }, ref) {
  const words = useWords();
  return (
    <div
      {...useLanguage()}
      ref={ref}
      className="tidings tidings-launcher"
      role="region"
      aria-label={words.messages}
      data-corner={corner}
      {...others}
    />
  );
});

interface SignInCornerProps {
  corner: CornerName;
  onSignIn: () => void;
}

/** The same button; it leads to where one signs in. */
export function SignInCorner({ corner, onSignIn }: SignInCornerProps): ReactNode {
  const { signInFirst } = useWords();
  return (
    <Corner corner={corner}>
      <button
        type="button"
        className="tidings-launcher-button"
        aria-label={signInFirst}
        title={signInFirst}
        onClick={onSignIn}
      >
        <MessagesIcon />
      </button>
    </Corner>
  );
}
