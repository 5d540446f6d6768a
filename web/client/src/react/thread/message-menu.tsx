/** What can be done with one message. The list has one menu, which opens beside the message that asked for it. */
import type { ReactNode } from "react";
import { BlockIcon, CopyIcon, FlagIcon } from "../icons.js";
import { Menu, type MenuItem } from "../parts/menu.js";
import type { Bubble } from "./rows.js";
import { useWords } from "../words/context.js";

export interface MessageActions {
  /** Null where it cannot be done: an own message, somebody who is blocked already. */
  report: ((seq: number, text: string) => void) | null;
  block: (() => void) | null;
  /** Tell that something was done that cannot be seen. */
  say: (sentence: string) => void;
}

interface MessageMenuProps {
  bubble: Bubble;
  name: string;
  /** The message that it belongs to. */
  article: HTMLElement;
  actions: MessageActions;
  /** `returns`: the focus goes back to the message. */
  onClose: (returns: boolean) => void;
}

/** The text into the clipboard, also where there is no secure context; false when the browser forbids it. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

export function MessageMenu({ bubble, name, article, actions, onClose }: MessageMenuProps): ReactNode {
  const words = useWords();
  const { seq, text, own } = bubble;
  const { report, block, say } = actions;
  const items: MenuItem[] = [
    {
      label: words.copy,
      icon: <CopyIcon />,
      act: () => {
        onClose(true);
        void copy(text).then((done) => say(done ? words.copied : words.copyFailed));
      },
    },
  ];
  if (!own && report !== null && seq !== null) {
    items.push({
      label: words.reportMessage,
      icon: <FlagIcon />,
      act: () => {
        onClose(false);
        report(seq, text);
      },
    });
  }
  if (!own && block !== null) {
    items.push({
      label: words.block(name),
      icon: <BlockIcon />,
      danger: true,
      act: () => {
        onClose(false);
        block();
      },
    });
  }
  const anchor = article.querySelector(".tidings-bubble") ?? article;
  return <Menu label={words.actions} items={items} anchor={anchor} onClose={onClose} />;
}
