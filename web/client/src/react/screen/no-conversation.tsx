/** In the place of a conversation that nobody can have: with nobody, with oneself, or with an id that is none. */
import type { ReactNode } from "react";
import { EmptyArt } from "../parts/art.js";
import { useLanguage, useWords } from "../words/context.js";

interface NoConversationProps {
  title: string;
  /** Why there is none. */
  children?: ReactNode;
  onBack: (() => void) | undefined;
}

export function NoConversation({ title, children, onBack }: NoConversationProps): ReactNode {
  const { back } = useWords();
  return (
    <section {...useLanguage()} className="tidings tidings-screen" aria-label={title}>
      <div className="tidings-empty">
        <EmptyArt />
        <h2>{title}</h2>
        {children !== undefined && <p>{children}</p>}
        {onBack && (
          <button type="button" className="tidings-button" onClick={onBack}>
            {back}
          </button>
        )}
      </div>
    </section>
  );
}
