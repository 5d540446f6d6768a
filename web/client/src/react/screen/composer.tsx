/**
 * Where one writes. Nothing typed is ever cut or lost.
 *
 * The field keeps its own text: it is not drawn anew for each key, which would copy all of a long one. It is no form, and its keys
 * end here: a host's form around it is not submitted by what one writes to somebody.
 */
import { useEffect, useId, useRef, useState, type ClipboardEvent, type KeyboardEvent, type ReactNode } from "react";
import { useLayoutEffectOnClient } from "../hooks.js";
import { SendIcon } from "../icons.js";
import { useMedia } from "../parts/media.js";
import { utf8Bytes } from "./text-size.js";
import { useWords } from "../words/context.js";

const COUNTER_FROM = 0.9;
/** A text of so many letters fills the field, whose height need not be measured any more. */
const FULL_LENGTH = 4000;

interface ComposerProps {
  name: string;
  initialText: string;
  /** Largest text in bytes of UTF-8. */
  bytesMax: number;
  focusOnMount: boolean;
  /** False: Enter begins a line, and Ctrl or Cmd with Enter sends. Undefined: so it is where one types on glass. */
  enterSends: boolean | undefined;
  onChange: (text: string) => void;
  onSend: (text: string) => void;
}

/** What the screen has to know of the text. */
interface State {
  isEmpty: boolean;
  isBlank: boolean;
  /** Bytes over the limit, negative below it; null far from it. */
  over: number | null;
}

function stateOf(text: string, bytesMax: number): State {
  // A unit has at most three bytes: most texts need not be counted.
  const isNear = text.length * 3 >= bytesMax * COUNTER_FROM;
  const bytes = isNear ? utf8Bytes(text) : 0;
  return {
    isEmpty: text === "",
    isBlank: !/\S/.test(text),
    over: bytes >= bytesMax * COUNTER_FROM ? bytes - bytesMax : null,
  };
}

/** True while a key belongs to an input method: Safari reports the closing Enter only by `keyCode` 229. */
function isComposing(event: KeyboardEvent): boolean {
  return event.nativeEvent.isComposing || event.keyCode === 229;
}

/**
 * As high as its lines, where the stylesheet cannot say so; the sheet bounds it. A long text is not measured, by the browser
 * neither: a megabyte in one word would take seconds a key.
 */
function grow(field: HTMLTextAreaElement): void {
  const isFull = field.value.length > FULL_LENGTH;
  field.dataset["full"] = String(isFull);
  if (globalThis.CSS?.supports?.("field-sizing", "content")) return; // a test's DOM has no CSS
  const become = (height: string): void => field.style.setProperty("height", height, "important"); // not a host's
  become("auto");
  if (isFull) return;
  const edges = field.offsetHeight - field.clientHeight;
  if (field.scrollHeight > 0) become(`${field.scrollHeight + edges}px`);
}

export function Composer(props: ComposerProps): ReactNode {
  const { name, bytesMax, onChange, onSend, initialText, focusOnMount } = props;
  const words = useWords();
  const isOnGlass = useMedia("(pointer: coarse)");
  const enterSends = props.enterSends ?? !isOnGlass;
  const [state, setState] = useState(() => stateOf(initialText, bytesMax));
  const isTouched = useRef(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const hint = useId();
  const { isEmpty, isBlank, over } = state;
  const isOver = over !== null && over > 0;
  const canSend = !isBlank && !isOver;

  const look = (text: string): void => {
    const next = stateOf(text, bytesMax);
    const isSame = next.isEmpty === isEmpty && next.isBlank === isBlank && next.over === over;
    if (!isSame) setState(next);
    if (field.current) grow(field.current);
  };

  // What this device kept arrives a moment after the page; what is typed meanwhile is newer.
  useLayoutEffectOnClient(() => {
    if (isTouched.current || !field.current) return;
    field.current.value = initialText;
    look(initialText);
  }, [initialText]);
  useEffect(() => setState(stateOf(field.current?.value ?? "", bytesMax)), [bytesMax]);

  useLayoutEffectOnClient(() => {
    if (focusOnMount) field.current?.focus({ preventScroll: true });
  }, [focusOnMount]);

  const change = (text: string): void => {
    isTouched.current = true;
    look(text);
    onChange(text);
  };
  /** Said before the browser lays the text out: afterwards is too late for a megabyte. */
  const onPaste = ({ currentTarget, clipboardData }: ClipboardEvent<HTMLTextAreaElement>): void => {
    const length = currentTarget.value.length + clipboardData.getData("text/plain").length;
    if (length > FULL_LENGTH) currentTarget.dataset["full"] = "true";
  };
  const send = (): void => {
    const { current } = field;
    if (!current || !canSend) return;
    onSend(current.value.replace(/^(?:[^\S\n]*\n)+/, "").trimEnd());
    current.value = "";
    change("");
    current.focus({ preventScroll: true });
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (event.key !== "Enter") return;
    event.stopPropagation();
    if (isComposing(event) || event.shiftKey || event.altKey) return;
    if (!enterSends && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    send();
  };

  return (
    <div className="tidings-composer">
      <div className="tidings-composer-card">
        {over !== null && (
          <p id={hint} className="tidings-counter" data-over={isOver}>
            {isOver ? words.tooLong(over) : words.bytesLeft(-over)}
          </p>
        )}
        <div className="tidings-composer-row">
          <textarea
            ref={field}
            rows={1}
            // Empty, it shows the placeholder, which is in the direction of the words.
            dir={isEmpty ? undefined : "auto"}
            enterKeyHint={enterSends ? "send" : "enter"}
            autoComplete="off"
            aria-label={words.composer(name)}
            placeholder={words.composer(name)}
            aria-invalid={isOver}
            aria-describedby={over === null ? undefined : hint}
            defaultValue={initialText}
            onChange={(event) => change(event.target.value)}
            onKeyDown={onKeyDown}
            onPaste={onPaste}
          />
          <button
            type="button"
            className="tidings-send"
            disabled={!canSend}
            aria-label={words.send}
            title={words.send}
            onClick={send}
          >
            <SendIcon />
          </button>
        </div>
      </div>
    </div>
  );
}
