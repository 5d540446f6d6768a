/** Who one is, what one likes of this page, and the way out: a picture at the head of the list opens it. */
import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import type { Person } from "tidings";
import { Avatar, useBackCloses, useInbox, useOutbox } from "tidings/react";
import { inLanguage } from "./language.js";
import { allowNotifications, notificationPermission } from "./notifications.js";
import { keepTheme, keptTheme, THEMES, type Theme } from "./preference.js";
import { signOut } from "./session.js";
import { usePageWords } from "./words.js";

interface AccountProps {
  me: Person;
  isDemo: boolean;
  canSignOut: boolean;
  hasSound: boolean;
  onSound: (wanted: boolean) => void;
  notifies: boolean;
  onNotifies: (wanted: boolean) => void;
  enterSends: boolean;
  onEnterSends: (wanted: boolean) => void;
}

export function Account(props: AccountProps): ReactNode {
  const words = usePageWords();
  const [isOpen, setOpen] = useState(false);
  const { me } = props;
  return (
    <>
      <button
        type="button"
        className="tidings-round page-me"
        title={words.settings}
        aria-haspopup="dialog"
        onClick={() => setOpen(true)}
      >
        <Avatar person={me} />
        <span className="tidings-hidden">{words.settingsOf(me.name)}</span>
      </button>
      {isOpen && <Settings {...props} onClose={() => setOpen(false)} />}
    </>
  );
}

function Settings({ onClose, ...props }: AccountProps & { onClose: () => void }): ReactNode {
  const { me, isDemo, canSignOut, hasSound, onSound, notifies, onNotifies, enterSends, onEnterSends } = props;
  const words = usePageWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const [theme, setTheme] = useState(keptTheme);
  useEffect(() => {
    // The browser keeps the focus in it, and gives it back to what opened it.
    dialog.current?.showModal();
  }, []);
  useBackCloses(true, () => dialog.current?.close());

  return (
    <dialog
      ref={dialog}
      className="tidings page-dialog"
      aria-label={words.settings}
      onClose={onClose}
      onClick={(event) => {
        // Beside it: what is in it lies in the box that fills it.
        if (event.target === event.currentTarget) event.currentTarget.close();
      }}
    >
      <div className="page-dialog-box">
        <header>
          <h2>{words.settings}</h2>
          <button
            type="button"
            className="tidings-round"
            aria-label={words.close}
            title={words.close}
            onClick={() => dialog.current?.close()}
          >
            <CloseMark />
          </button>
        </header>
        <div className="page-settings">
          <div className="page-settings-me">
            <Avatar person={me} />
            <div>
              <strong dir="auto">{me.name}</strong>
              {!isDemo && <p>{words.accountHint}</p>}
            </div>
          </div>
          <fieldset className="page-setting">
            <legend>{words.appearance}</legend>
            <div className="page-segments">
              {THEMES.map((one) => (
                <label key={one}>
                  <input
                    type="radio"
                    name="theme"
                    checked={theme === one}
                    onChange={() => {
                      setTheme(one);
                      keepTheme(one);
                    }}
                  />
                  {THEME_MARKS[one]} {words[one]}
                </label>
              ))}
            </div>
          </fieldset>
          <Switch label={words.sound} hint={words.soundHint} on={hasSound} onChange={onSound} />
          <Notifications on={notifies} onChange={onNotifies} />
          <Switch label={words.enterSends} hint={words.enterSendsHint} on={enterSends} onChange={onEnterSends} />
        </div>
        {(isDemo || canSignOut) && (
          <footer>
            {isDemo ? (
              <a className="tidings-button" href={inLanguage({})}>
                {words.beSomebodyElse}
              </a>
            ) : (
              <SignOut />
            )}
          </footer>
        )}
      </div>
    </dialog>
  );
}

/** Signing out deletes what was not sent: the question comes first, and only where there is something. */
function SignOut(): ReactNode {
  const words = usePageWords();
  const messages = useOutbox().pending.length;
  const drafts = useInbox().entries.filter(({ draft }) => draft !== "").length;
  const [wanted, setWanted] = useState(false);
  const stays = useRef<HTMLButtonElement>(null);
  const isAsking = wanted && messages + drafts > 0;
  useEffect(() => {
    // What deletes nothing is what Enter does.
    if (isAsking) stays.current?.focus();
  }, [isAsking]);
  if (!isAsking)
    return (
      <button
        type="button"
        className="tidings-button"
        onClick={() => (messages + drafts > 0 ? setWanted(true) : void signOut())}
      >
        {words.signOut}
      </button>
    );
  return (
    <>
      <p role="alert">{words.unsent(messages, drafts)}</p>
      <button ref={stays} type="button" className="tidings-button" data-primary="true" onClick={() => setWanted(false)}>
        {words.staySignedIn}
      </button>
      <button type="button" className="tidings-button" onClick={() => void signOut()}>
        {words.signOutAndDelete}
      </button>
    </>
  );
}

interface NotificationsProps {
  on: boolean;
  onChange: (wanted: boolean) => void;
}

/** The browser is asked when they are switched on; where it has refused, it says where that is changed. */
function Notifications({ on, onChange }: NotificationsProps): ReactNode {
  const words = usePageWords();
  const [permission, setPermission] = useState(notificationPermission);
  if (permission === "missing") return null;
  const change = async (wanted: boolean): Promise<void> => {
    onChange(wanted && (await allowNotifications()));
    setPermission(notificationPermission());
  };
  return (
    <Switch
      label={words.notifications}
      hint={permission === "denied" ? words.notificationsDenied : words.notificationsHint}
      on={on && permission === "granted"}
      onChange={(wanted) => void change(wanted)}
    />
  );
}

interface SwitchProps {
  label: string;
  hint: string;
  on: boolean;
  onChange: (wanted: boolean) => void;
}

function Switch({ label, hint, on, onChange }: SwitchProps): ReactNode {
  const id = useId();
  return (
    <div className="page-setting">
      <label htmlFor={id}>{label}</label>
      <p id={`${id}-hint`}>{hint}</p>
      <span className="page-switch">
        <input
          type="checkbox"
          role="switch"
          id={id}
          aria-describedby={`${id}-hint`}
          checked={on}
          onChange={(event) => onChange(event.target.checked)}
        />
        <i />
      </span>
    </div>
  );
}

function Mark({ children }: { children: ReactNode }): ReactNode {
  return (
    <svg className="tidings-icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export function CloseMark(): ReactNode {
  return (
    <Mark>
      <path d="M5 5l10 10M15 5 5 15" />
    </Mark>
  );
}

const THEME_MARKS: Record<Theme, ReactNode> = {
  system: (
    <Mark>
      <circle cx="10" cy="10" r="6.8" />
      <path d="M10 3.2a6.8 6.8 0 0 1 0 13.6z" fill="currentColor" />
    </Mark>
  ),
  light: (
    <Mark>
      <circle cx="10" cy="10" r="3.3" />
      <path d="M10 2.5v1.7M10 15.8v1.7M2.5 10h1.7M15.8 10h1.7M4.7 4.7l1.2 1.2M14.1 14.1l1.2 1.2M15.3 4.7l-1.2 1.2M5.9 14.1l-1.2 1.2" />
    </Mark>
  ),
  dark: (
    <Mark>
      <path d="M16.5 11.7A7 7 0 0 1 8.3 3.5a7 7 0 1 0 8.2 8.2z" />
    </Mark>
  ),
};
