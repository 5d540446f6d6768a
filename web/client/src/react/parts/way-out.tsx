/** The way out of a panel in which the screens stand: whichever of them is shown, its header ends with it. */
import { createContext, useContext, type ReactNode } from "react";
import { CloseIcon } from "../icons.js";
import { RoundButton } from "./round-button.js";
import { useWords } from "../words/context.js";

/** Closes the panel; null: the screens stand in the page itself. */
export const WayOutContext = createContext<(() => void) | null>(null);

export function WayOut(): ReactNode {
  const leave = useContext(WayOutContext);
  const words = useWords();
  if (leave === null) return null;
  return (
    <RoundButton label={words.closeMessages} onClick={leave}>
      <CloseIcon />
    </RoundButton>
  );
}
