/** Somebody who can be chosen under "New message". */
import type { ReactNode } from "react";
import type { FoundPerson } from "../../types.js";
import { Avatar } from "../parts/avatar.js";
import { useWords } from "../words/context.js";
import { Found } from "./find.js";

interface PersonOptionProps {
  id: string;
  person: FoundPerson;
  /** What stands in the name's place. */
  title?: string;
  isOnline: boolean;
  isChosen: boolean;
  /** What is marked; folded. */
  wanted: string;
  onChoose: () => void;
}

export function PersonOption({
  id,
  person,
  title,
  isOnline,
  isChosen,
  wanted,
  onChoose,
}: PersonOptionProps): ReactNode {
  const words = useWords();
  const { name, about } = person;
  return (
    <div id={id} className="tidings-entry" role="option" aria-selected={isChosen} onClick={onChoose}>
      <Avatar person={person} online={isOnline} />
      <span className="tidings-entry-body">
        <span className="tidings-entry-name">
          <span dir="auto">{title ?? <Found text={name} wanted={wanted} />}</span>
        </span>
        {(about !== null || isOnline) && (
          <span className="tidings-entry-text">
            {about !== null && (
              <span dir="auto">
                <Found text={about} wanted={wanted} />
              </span>
            )}
            {isOnline && (
              <span className="tidings-entry-online">
                {about !== null && " · "}
                {words.online}
              </span>
            )}
          </span>
        )}
      </span>
    </div>
  );
}
