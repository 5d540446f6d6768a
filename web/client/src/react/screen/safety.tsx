import { useId, useRef, useState, type ReactNode } from "react";
import type { Conversation } from "../../types.js";
import { useWords } from "../words/context.js";

const REASON_MAX = 1000;
/** Of a message, so much that one sees which it is. */
const QUOTE_MAX = 80;

type View = "block" | "report" | "reported";

/** What the panel opens with, and about which message. */
export interface SafetySubject {
  view: "block" | "report";
  message: { seq: number; text: string } | null;
}

interface SafetyProps {
  name: string;
  conversation: Conversation;
  blocked: boolean;
  subject: SafetySubject;
  /** The panel has done what it was opened for, or is not wanted. */
  onClose: () => void;
}

/** What one request does to the panel: it waits, then it is done or says why not. */
function useRequest(): { busy: boolean; problem: string | null; run: (work: Promise<void>, done: () => void) => void } {
  const words = useWords();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const isRunning = useRef(false);
  const run = (work: Promise<void>, done: () => void): void => {
    if (isRunning.current) return;
    isRunning.current = true;
    setBusy(true);
    setProblem(null);
    work
      .then(done, (error: unknown) => {
        const { code, reason } = error as { code?: string; reason?: string };
        const told = error instanceof Error ? error.message : String(error);
        setProblem(words.refusal(code ?? reason ?? "violation", told));
      })
      .finally(() => {
        isRunning.current = false;
        setBusy(false);
      });
  };
  return { busy, problem, run };
}

/** Below the header: block or report. Escape closes it; what is written stays until it was sent. */
export function Safety({ name, conversation, blocked, subject, onClose }: SafetyProps): ReactNode {
  const words = useWords();
  const [view, setView] = useState<View>(subject.view);
  return (
    <section className="tidings-panel" aria-label={words.more(name)}>
      {view === "block" && <BlockQuestion name={name} conversation={conversation} onClose={onClose} />}
      {view === "report" && (
        <ReportForm
          conversation={conversation}
          message={subject.message}
          onSent={() => setView("reported")}
          onCancel={onClose}
        />
      )}
      {view === "reported" && (
        <>
          <p role="status">{words.reported}</p>
          <div className="tidings-panel-actions">
            {!blocked && (
              <button type="button" className="tidings-button" onClick={() => setView("block")}>
                {words.block(name)}
              </button>
            )}
            <button type="button" className="tidings-button" autoFocus onClick={onClose}>
              {words.close}
            </button>
          </div>
        </>
      )}
    </section>
  );
}

interface BlockQuestionProps {
  name: string;
  conversation: Conversation;
  onClose: () => void;
}

function BlockQuestion({ name, conversation, onClose }: BlockQuestionProps): ReactNode {
  const words = useWords();
  const { busy, problem, run } = useRequest();
  return (
    <>
      <p>{words.blockQuestion(name)}</p>
      <Problem text={problem} />
      <div className="tidings-panel-actions">
        <button type="button" className="tidings-button" autoFocus onClick={onClose}>
          {words.cancel}
        </button>
        <button
          type="button"
          className="tidings-button"
          data-danger="true"
          aria-disabled={busy}
          onClick={() => run(conversation.block(), onClose)}
        >
          {words.blockConfirm}
        </button>
      </div>
    </>
  );
}

interface ReportFormProps {
  conversation: Conversation;
  /** Null: the latest ones. */
  message: SafetySubject["message"];
  onSent: () => void;
  onCancel: () => void;
}

function ReportForm({ conversation, message, onSent, onCancel }: ReportFormProps): ReactNode {
  const words = useWords();
  const [reason, setReason] = useState("");
  const { busy, problem, run } = useRequest();
  const field = useId();
  const send = (): void => {
    if (reason.trim() !== "") run(conversation.report(reason.trim(), message?.seq), onSent);
  };
  // Not a form: a host may show the screen in one of its own, by a portal too, and would be submitted with it.
  return (
    <>
      <label htmlFor={field}>{words.reportLabel}</label>
      <textarea
        id={field}
        className="tidings-input"
        rows={3}
        dir="auto"
        autoFocus
        maxLength={REASON_MAX}
        aria-describedby={`${field}-hint`}
        value={reason}
        onChange={(event) => setReason(event.target.value)}
      />
      <p id={`${field}-hint`} dir="auto">
        {message === null ? words.reportHint : words.reportMessageHint(message.text.slice(0, QUOTE_MAX))}
      </p>
      <Problem text={problem} />
      <div className="tidings-panel-actions">
        <button type="button" className="tidings-button" onClick={onCancel}>
          {words.cancel}
        </button>
        <button
          type="button"
          className="tidings-button"
          data-primary="true"
          disabled={reason.trim() === ""}
          aria-disabled={busy}
          onClick={send}
        >
          {words.reportSend}
        </button>
      </div>
    </>
  );
}

/** In the composer's place while the other one is blocked. */
export function BlockedNote({ name, conversation }: { name: string; conversation: Conversation }): ReactNode {
  const words = useWords();
  const { busy, problem, run } = useRequest();
  return (
    <div className="tidings-composer">
      <div className="tidings-instead" data-one-line="true">
        <p>{words.blocked(name)}</p>
        <Problem text={problem} />
        <button
          type="button"
          className="tidings-button"
          aria-disabled={busy}
          onClick={() => run(conversation.unblock(), () => undefined)}
        >
          {words.unblock}
        </button>
      </div>
    </div>
  );
}

interface RefusedNoteProps {
  /** What cannot be done, and why, as the server or the language says it. */
  text: string;
  onWrite: () => void;
}

/** In the composer's place after a message was refused for good. What is typed already stays, and comes back with it. */
export function RefusedNote({ text, onWrite }: RefusedNoteProps): ReactNode {
  const words = useWords();
  return (
    <div className="tidings-composer">
      <div className="tidings-instead">
        <p>{text}</p>
        <button type="button" className="tidings-button" onClick={onWrite}>
          {words.writeAgain}
        </button>
      </div>
    </div>
  );
}

function Problem({ text }: { text: string | null }): ReactNode {
  return (
    <p className="tidings-problem" role="alert">
      {text}
    </p>
  );
}
