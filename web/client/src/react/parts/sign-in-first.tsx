import type { ReactNode } from "react";
import { useWords } from "../words/context.js";
import { EmptyArt } from "./art.js";

interface SignInFirstProps {
  onSignIn: (() => void) | undefined;
}

/** In the place of messages, where nobody is signed in. */
export function SignInFirst({ onSignIn }: SignInFirstProps): ReactNode {
  const words = useWords();
  return (
    <div className="tidings-empty">
      <EmptyArt />
      <h2>{words.signInFirst}</h2>
      {onSignIn && (
        <button type="button" className="tidings-button" data-primary="true" onClick={onSignIn}>
          {words.signIn}
        </button>
      )}
    </div>
  );
}
