import { useCallback, useEffect, useRef, useState, type ReactNode } from "react";
import type { ConnectionSnapshot } from "../../types.js";
import { Announcements, useAnnouncer, type Announcer } from "./announcer.js";
import { useConnection, useLatest } from "../hooks.js";
import { StatusDot, type ShownStatus } from "../icons.js";
import { useTidings } from "../provider.js";
import { useLanguage, useWords } from "../words/context.js";
import type { Words } from "../words/en.js";

/** A stream that is back within this time was never worth a banner. */
const QUIET_MS = 2000;
const BACK_ONLINE_MS = 3000;
/** What was missed has mostly come by then. */
const CATCH_UP_MS = 1000;

/** This long without an answer is more than a bad moment. */
const UNREACHABLE_MS = 180_000;

type Trouble =
  | "reconnecting"
  | "polling"
  | "offline"
  | "unreachable"
  | "unauthorized"
  | "otherUser"
  | "refused"
  | "closed";
/** `signedOut`: nobody is signed in, and there is nothing to show; that stands in the place of the messages. */
export type BannerKind = Trouble | "signedOut" | "back";

/** What a user must know at once, for nothing goes on by itself, or has not for long. */
const URGENT: ReadonlySet<BannerKind> = new Set(["unreachable", "unauthorized", "signedOut", "otherUser", "refused"]);

export interface BannerState {
  /** Null: no banner. */
  kind: BannerKind | null;
  /** How many messages of others the connection brought when it came back. */
  news: number;
  /** Whether it is still bringing them: they are told as one number. */
  isCatchingUp: () => boolean;
}

/** The server has no streams for anybody, and is polled: nothing is wrong, and nobody here can do anything about it. */
function isPollingAsServed({ status, reason }: Pick<ConnectionSnapshot, "status" | "reason">): boolean {
  return status === "polling" && reason === "no_streams";
}

function troubleOf({ status, attempt, reason }: ConnectionSnapshot): Trouble | null {
  // A hidden page gave its stream back; it takes it up again when somebody looks, and nothing was lost.
  if (reason === "hidden") return null;
  if (isPollingAsServed({ status, reason })) return null;
  switch (status) {
    case "reconnecting":
    case "polling":
    case "offline":
    case "unauthorized":
    case "closed":
      return status;
    case "refused":
      return reason === "not_yours" ? "otherUser" : status;
    case "connecting":
      // The first connection is not a lost one; a later attempt is.
      return attempt > 0 ? "reconnecting" : null;
    case "idle":
    case "connected":
      return null;
  }
}

/**
 * Which banner to show: none, one trouble, or "back online" for three seconds after a trouble that was shown.
 *
 * A short loss (reconnecting for less than two seconds) is not shown. `isEmpty`: there is nothing yet that one could go on reading.
 */
export function useBanner(connection: ConnectionSnapshot, isEmpty = false): BannerState {
  const trouble = troubleOf(connection);
  const live = connection.status === "connected";
  const [shown, setShown] = useState<BannerKind | null>(null);
  const { news, isCatchingUp } = useNews();

  useEffect(() => {
    if (trouble) {
      if (trouble !== "reconnecting" && trouble !== "closed") {
        setShown(trouble);
        return;
      }
      const timers = [setTimeout(() => setShown(trouble), QUIET_MS)];
      if (trouble === "reconnecting") timers.push(setTimeout(() => setShown("unreachable"), UNREACHABLE_MS));
      return () => timers.forEach(clearTimeout);
    }
    if (!live) {
      setShown(null);
      return;
    }
    setShown((before) => (before === null ? null : "back"));
    const timer = setTimeout(() => setShown(null), BACK_ONLINE_MS);
    return () => clearTimeout(timer);
  }, [trouble, live]);

  return { kind: shown === "unauthorized" && isEmpty ? "signedOut" : shown, news, isCatchingUp };
}

/** Counts what a stream brings between its beginning and the end of its catch-up. */
function useNews(): Pick<BannerState, "news" | "isCatchingUp"> {
  const client = useTidings();
  const [news, setNews] = useState(0);
  const counting = useRef(false);
  useEffect(() => {
    const { connection } = client;
    let { status, userId } = connection.getSnapshot();
    const undo = [
      // By the store itself: rendering comes later than the messages.
      connection.subscribe(() => {
        const now = connection.getSnapshot();
        if (now.status === "connected" && status !== "connected") {
          counting.current = true;
          setNews(0);
        }
        ({ status, userId } = now);
      }),
      client.on("message", (message) => {
        if (counting.current && message.sender_id !== userId) setNews((before) => before + 1);
      }),
      client.on("caught_up", () => {
        counting.current = false;
      }),
    ];
    return () => undo.forEach((fn) => fn());
  }, [client]);
  return { news, isCatchingUp: useCallback(() => counting.current, []) };
}

/** Why a server ends a stream that nothing is wrong with; another one follows within 1.5 s. */
const PLANNED: readonly (string | null)[] = ["token_expired", "max_age"];

/** What the status says: a planned pause too short for a banner is nothing that a user should be told of. */
export function shownStatus({ status, reason }: ConnectionSnapshot, banner: BannerKind | null): ShownStatus {
  if (banner === "unreachable") return banner;
  const isPlanned = status === "reconnecting" && banner === null && PLANNED.includes(reason);
  return isPlanned || isPollingAsServed({ status, reason }) ? "connected" : status;
}

/** Whole seconds until `at` (`Date.now()` ms), counting down; 0 when it has come, or is null. */
function useSecondsUntil(at: number | null): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (at === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [at]);
  return at === null ? 0 : Math.max(0, Math.ceil((at - now) / 1000));
}

function Countdown({ connection }: { connection: ConnectionSnapshot }): ReactNode {
  const words = useWords();
  const seconds = useSecondsUntil(connection.retryAt);
  return <span>{words.retryIn(seconds, Math.max(1, connection.attempt))}</span>;
}

function sentenceOf(kind: BannerKind, { reason }: ConnectionSnapshot, news: number, words: Words): string {
  switch (kind) {
    case "reconnecting":
      return [words.connectionLost, words.cause(reason), words.sendsAreKept].filter((part) => part !== "").join(" ");
    case "polling":
      return words.polling;
    case "offline":
      return words.offline;
    case "unreachable":
      return `${words.unreachable} ${words.textIsSafe}`;
    case "unauthorized":
      return words.unauthorized;
    case "signedOut":
      return words.signInFirst;
    case "otherUser":
      return words.otherUser;
    case "refused":
      return words.refused;
    case "closed":
      return words.ownState.closed;
    case "back":
      return words.backOnline(news);
  }
}

/** Says once what a banner shows, without the countdown; "back" when it is known what it brought. */
export function useBannerVoice(banner: BannerState, connection: ConnectionSnapshot, announcer: Announcer): void {
  const { kind } = banner;
  const { say, warn } = announcer;
  const now = useLatest({ banner, connection, words: useWords() });
  useEffect(() => {
    if (kind === null) return;
    const speak = (): void => {
      const { banner: shown, connection: state, words } = now.current;
      (URGENT.has(kind) ? warn : say)(sentenceOf(kind, state, shown.news, words));
    };
    if (kind !== "back") return speak();
    say("");
    const timer = setTimeout(speak, CATCH_UP_MS);
    return () => clearTimeout(timer);
  }, [kind, now, say, warn]);
}

/** What can be done about it; offline one can only wait. */
export function actionOf(
  kind: BannerKind,
  onReconnect: () => void,
  onSignIn: (() => void) | undefined,
): (() => void) | undefined {
  if (kind === "offline" || kind === "back") return undefined;
  if (kind === "otherUser") return () => location.reload();
  return kind === "unauthorized" || kind === "signedOut" ? onSignIn : onReconnect;
}

export function actionName(kind: BannerKind, words: Words): string {
  if (kind === "otherUser") return words.reload;
  return kind === "unauthorized" || kind === "signedOut" ? words.signIn : words.reconnect;
}

interface BannerProps {
  banner: BannerState;
  connection: ConnectionSnapshot;
  onReconnect: () => void;
  onSignIn: (() => void) | undefined;
}

/** One line about the connection, above the messages. Not a live region: the announcer says it once. */
export function Banner({ banner, connection, onReconnect, onSignIn }: BannerProps): ReactNode {
  const words = useWords();
  const { kind, news } = banner;
  if (kind === null || kind === "signedOut") return null;
  const cause = words.cause(connection.reason);
  const act = actionOf(kind, onReconnect, onSignIn);
  return (
    <div className="tidings-banner" data-kind={kind}>
      <p>
        <StatusDot status={shownStatus(connection, kind)} />
        <span>
          {kind === "reconnecting" || kind === "unreachable" ? (
            <>
              <strong>{kind === "reconnecting" ? words.connectionLost : words.unreachable}</strong>{" "}
              {cause !== "" && `${cause} `}
              <Countdown connection={connection} />{" "}
              <span className="tidings-banner-detail">
                {kind === "reconnecting" ? words.sendsAreKept : words.textIsSafe}
              </span>
            </>
          ) : kind === "polling" ? (
            <>
              <strong>{words.polling}</strong>{" "}
              <span className="tidings-banner-detail">
                {words.pollingDetail(Math.round(connection.pollInterval / 1000))}
              </span>
            </>
          ) : (
            <FirstStrong text={sentenceOf(kind, connection, news, words)} />
          )}
        </span>
      </p>
      {act && (
        <div className="tidings-banner-actions">
          <button type="button" className="tidings-link" onClick={act}>
            {actionName(kind, words)}
          </button>
        </div>
      )}
    </div>
  );
}

/** What matters is in the first sentence. */
function FirstStrong({ text }: { text: string }): ReactNode {
  const [, first = text, rest = ""] = /^(.*?[.:])(\s.*)?$/s.exec(text) ?? [];
  return (
    <>
      <strong>{first}</strong>
      {rest}
    </>
  );
}

export interface ConnectionBannerProps {
  /** Shows "Sign in" when the sign-in has ended. */
  onSignIn?: () => void;
}

/** The banner for where no chat screen is open, which has its own: a list of conversations must not look live either. */
export function ConnectionBanner({ onSignIn }: ConnectionBannerProps): ReactNode {
  const language = useLanguage();
  const connection = useConnection();
  const banner = useBanner(connection);
  const announcer = useAnnouncer();
  useBannerVoice(banner, connection, announcer);
  return (
    <div {...language} className="tidings tidings-connection">
      <Banner banner={banner} connection={connection} onReconnect={connection.reconnect} onSignIn={onSignIn} />
      <Announcements announcer={announcer} />
    </div>
  );
}
