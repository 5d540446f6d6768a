import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { useLayoutEffectOnClient } from "./hooks.js";
import { SendIcon } from "./icons.js";
import { utf8Bytes } from "./text-size.js";
import { useWords } from "./words/context.js";

const COUNTER_FROM = 0.9;

interface ComposerProps {
  name: string;
  initialText: string;
  /** Largest text in bytes of UTF-8. */
  bytesMax: number;
  focusOnMount: boolean;
  /** False: Enter begins a line, and Ctrl or Cmd with Enter sends. */
  enterSends: boolean;
  onChange: (text: string) => void;
  onSend: (text: string) => void;
}

/** True while a key belongs to an input method: Safari reports the closing Enter only by `keyCode` 229. */
function isComposing(event: KeyboardEvent): boolean {
  return event.nativeEvent.isComposing || event.keyCode === 229;
}

/** Where one writes: Enter sends, Shift+Enter starts a line, and nothing typed is ever cut or lost. */
export function Composer(props: ComposerProps): ReactNode {
  const { name, bytesMax, enterSends, onChange, onSend } = props;
  const words = useWords();
  const [text, setText] = useState(props.initialText);
  const isTouched = useRef(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const hint = useId();
  const bytes = utf8Bytes(text);
  const over = bytes - bytesMax;
  const nearLimit = bytes >= bytesMax * COUNTER_FROM;
  const canSend = text.trim() !== "" && over <= 0;

  useLayoutEffectOnClient(() => {
    const element = field.current;
    if (!element) return;
    // The stylesheet bounds the height to 1..6 lines; "auto" first, or the field could never shrink.
    const become = (height: string): void => element.style.setProperty("height", height, "important"); // not a host's
    become("auto");
    const edges = element.offsetHeight - element.clientHeight;
    if (element.scrollHeight > 0) become(`${element.scrollHeight + edges}px`);
  }, [text]);

  // What this device kept arrives a moment after the page; what is typed meanwhile is newer.
  const { initialText } = props;
  useEffect(() => {
    if (!isTouched.current) setText(initialText);
  }, [initialText]);

  const { focusOnMount } = props;
  useLayoutEffectOnClient(() => {
    if (focusOnMount) field.current?.focus({ preventScroll: true });
  }, [focusOnMount]);

  const change = (next: string): void => {
    isTouched.current = true;
    setText(next);
    onChange(next);
  };
  const send = (): void => {
    if (!canSend) return;
    onSend(text.replace(/^(?:[^\S\n]*\n)+/, "").trimEnd());
    change("");
    field.current?.focus({ preventScroll: true });
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (isComposing(event)) return;
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    if (!enterSends && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      className="tidings-composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className="tidings-composer-row">
        <textarea
          ref={field}
          className="tidings-input"
          rows={1}
          // Empty, it shows the placeholder, which is in the direction of the words.
          dir={text === "" ? undefined : "auto"}
          enterKeyHint={enterSends ? "send" : "enter"}
          autoComplete="off"
          aria-label={words.composer(name)}
          placeholder={words.composer(name)}
          aria-invalid={over > 0}
          aria-describedby={nearLimit ? hint : undefined}
          value={text}
          onChange={(event) => change(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <button type="submit" className="tidings-send" disabled={!canSend} aria-label={words.send} title={words.send}>
          <SendIcon />
        </button>
      </div>
      {nearLimit && (
        <p id={hint} className="tidings-counter" data-over={over > 0}>
          {over > 0 ? words.tooLong(over) : words.bytesLeft(-over)}
        </p>
      )}
    </form>
  );
}
