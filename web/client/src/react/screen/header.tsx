/** Above a conversation: who the other one is and what they do. The user's own connection is told elsewhere. */
import { useEffect, useRef, useState, type ReactNode, type RefObject } from "react";
import type { ConversationSnapshot, Person } from "../../types.js";
import { Avatar } from "../parts/avatar.js";
import { BackIcon, BlockIcon, Dots, FlagIcon, MoreIcon } from "../icons.js";
import { Menu } from "../parts/menu.js";
import { RoundButton } from "../parts/round-button.js";
import { WayOut } from "../parts/way-out.js";
import { nameInSentence } from "../words/name-in-sentence.js";
import { useWords } from "../words/context.js";
import type { Words } from "../words/en.js";

interface HeaderProps {
  person: Person;
  snapshot: ConversationSnapshot;
  /** Nobody who is not signed in can report or block. */
  hasMenu: boolean;
  /** Whether the server can tell what the other one does now. */
  isReached: boolean;
  /** Put the focus on the name. */
  focus: boolean;
  onBack: (() => void) | undefined;
  moreButton: RefObject<HTMLButtonElement | null>;
  onReport: () => void;
  onBlock: () => void;
}

type Doing = "blocked" | "typing" | "online" | "loading" | "";

function doingOf(
  { blocked, peerTyping, peerOnline, loaded, loading }: ConversationSnapshot,
  isReached: boolean,
): Doing {
  if (blocked) return "blocked";
  if (isReached && peerTyping) return "typing";
  if (isReached && peerOnline) return "online";
  return loading && !loaded ? "loading" : "";
}

function textOf(doing: Doing, words: Words): string {
  switch (doing) {
    case "blocked":
      return words.statusBlocked;
    case "typing":
      return words.statusTyping;
    case "online":
      return words.online;
    case "loading":
      return words.loadingMessages;
    case "":
      return "";
  }
}

export function Header(props: HeaderProps): ReactNode {
  const { person, snapshot, hasMenu, isReached, focus, onBack, moreButton, onReport, onBlock } = props;
  const words = useWords();
  const [menuBeside, setMenuBeside] = useState<Element | null>(null);
  const name = nameInSentence(person.name);
  const doing = doingOf(snapshot, isReached);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (focus) heading.current?.focus({ preventScroll: true });
  }, [focus]);

  /** The focus is on the button before what opens next remembers where it was. */
  const close = (returns: boolean): void => {
    setMenuBeside(null);
    if (returns) moreButton.current?.focus({ preventScroll: true });
  };
  const choose = (act: () => void): void => {
    close(true);
    act();
  };
  const report = { label: words.report(name), icon: <FlagIcon />, danger: true, act: () => choose(onReport) };
  const block = { label: words.block(name), icon: <BlockIcon />, danger: true, act: () => choose(onBlock) };
  // Where somebody is blocked, the composer's place says so and takes it back.
  const items = snapshot.blocked ? [report] : [report, block];
  return (
    <header className="tidings-header">
      {onBack && (
        <RoundButton className="tidings-back" label={words.back} onClick={onBack}>
          <BackIcon />
        </RoundButton>
      )}
      <div className="tidings-header-person">
        <Avatar person={person} online={doing === "online" || doing === "typing"} />
        <div>
          <h2 ref={heading} tabIndex={-1}>
            <span dir="auto">{person.name}</span>
          </h2>
          <p className="tidings-status" data-is={doing}>
            {doing === "typing" && <Dots />}
            <span>{textOf(doing, words)}</span>
          </p>
        </div>
      </div>
      {hasMenu && (
        <div className="tidings-header-menu">
          <RoundButton
            buttonRef={moreButton}
            label={words.more(name)}
            aria-haspopup="menu"
            aria-expanded={menuBeside !== null}
            onClick={({ currentTarget }) => (menuBeside ? close(true) : setMenuBeside(currentTarget))}
          >
            <MoreIcon />
          </RoundButton>
          {menuBeside && <Menu label={words.more(name)} items={items} anchor={menuBeside} onClose={close} />}
        </div>
      )}
      <WayOut />
    </header>
  );
}
