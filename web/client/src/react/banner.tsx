import { useEffect, useState, type ReactNode } from "react";
import type { ConnectionSnapshot, ConnectionStatus } from "../types.js";
import { useConnection } from "./hooks.js";
import { useLanguage, useWords } from "./words/context.js";
import type { Words } from "./words/en.js";

/** A stream that is back within this time was never worth a banner. */
const QUIET_MS = 2000;
const BACK_ONLINE_MS = 3000;

export type BannerKind = "reconnecting" | "polling" | "offline" | "unauthorized" | "refused" | "back";

function troubleOf({ status, attempt, reason }: ConnectionSnapshot): BannerKind | null {
  // A hidden page gave its stream back; it takes it up again when somebody looks, and nothing was lost.
  if (reason === "hidden") return null;
  switch (status) {
    case "reconnecting":
    case "polling":
    case "offline":
    case "unauthorized":
    case "refused":
      return status;
    case "connecting":
      // The first connection is not a lost one; a later attempt is.
      return attempt > 0 ? "reconnecting" : null;
    default:
      return null;
  }
}

/**
 * Which banner to show: none, one trouble, or "back online" for three seconds after a trouble that was shown.
 *
 * A short loss (reconnecting for less than two seconds) is not shown.
 */
export function useBanner(connection: ConnectionSnapshot): BannerKind | null {
  const trouble = troubleOf(connection);
  const live = connection.status === "connected";
  const [shown, setShown] = useState<BannerKind | null>(null);

  useEffect(() => {
    if (trouble) {
      if (trouble !== "reconnecting") {
        setShown(trouble);
        return;
      }
      const timer = setTimeout(() => setShown(trouble), QUIET_MS);
      return () => clearTimeout(timer);
    }
    if (!live) {
      setShown(null);
      return;
    }
    setShown((before) => (before === null ? null : "back"));
    const timer = setTimeout(() => setShown(null), BACK_ONLINE_MS);
    return () => clearTimeout(timer);
  }, [trouble, live]);

  return shown;
}

/** Why a server ends a stream that nothing is wrong with; another one follows within 1.5 s. */
const PLANNED: readonly (string | null)[] = ["token_expired", "max_age"];

/** What the status says: a planned pause too short for a banner is nothing that a user should be told of. */
export function shownStatus({ status, reason }: ConnectionSnapshot, banner: BannerKind | null): ConnectionStatus {
  return status === "reconnecting" && banner === null && PLANNED.includes(reason) ? "connected" : status;
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

/** What a screen reader hears when a banner appears: once, without the countdown. */
export function bannerSentence(kind: BannerKind, words: Words): string {
  switch (kind) {
    case "reconnecting":
      return `${words.connectionLost} ${words.sendsAreKept}`;
    case "polling":
      return words.polling;
    case "offline":
      return words.offline;
    case "unauthorized":
      return words.unauthorized;
    case "refused":
      return words.refused;
    case "back":
      return words.backOnline(0);
  }
}

interface BannerProps {
  kind: BannerKind;
  connection: ConnectionSnapshot;
  onReconnect: () => void;
  onSignIn: (() => void) | undefined;
}

/** One line about the connection, above the messages. Not a live region: the announcer says it once. */
export function Banner({ kind, connection, onReconnect, onSignIn }: BannerProps): ReactNode {
  const words = useWords();
  return (
    <div className="tidings-banner" data-kind={kind}>
      <p>
        {kind === "reconnecting" ? (
          <>
            <strong>{words.connectionLost}</strong> <Countdown connection={connection} />{" "}
            <span className="tidings-banner-detail">{words.sendsAreKept}</span>
          </>
        ) : kind === "polling" ? (
          <>
            <strong>{words.polling}</strong>{" "}
            <span className="tidings-banner-detail">
              {words.pollingDetail(Math.round(connection.pollInterval / 1000))}
            </span>
          </>
        ) : (
          bannerSentence(kind, words)
        )}
      </p>
      {(kind === "reconnecting" || kind === "polling" || kind === "refused") && (
        <button type="button" className="tidings-button" onClick={onReconnect}>
          {words.reconnect}
        </button>
      )}
      {kind === "unauthorized" && onSignIn && (
        <button type="button" className="tidings-button" onClick={onSignIn}>
          {words.signIn}
        </button>
      )}
    </div>
  );
}

export interface ConnectionBannerProps {
  /** Shows "Sign in" when the sign-in has ended. */
  onSignIn?: () => void;
}

/** The banner for where no chat screen is open, which has its own: a list of conversations must not look live either. */
export function ConnectionBanner({ onSignIn }: ConnectionBannerProps): ReactNode {
  const words = useWords();
  const language = useLanguage();
  const connection = useConnection();
  const banner = useBanner(connection);
  return (
    <div {...language} className="tidings tidings-connection">
      {banner && (
        <Banner kind={banner} connection={connection} onReconnect={connection.reconnect} onSignIn={onSignIn} />
      )}
      <div className="tidings-hidden" role="status" aria-live="polite">
        {banner && bannerSentence(banner, words)}
      </div>
    </div>
  );
}
