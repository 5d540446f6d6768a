/** Above the list: what the user's own connection is, only while it is not fine. */
import type { ReactNode } from "react";
import { Announcements, useAnnouncer } from "../parts/announcer.js";
import { actionName, actionOf, shownStatus, useBanner, useBannerVoice } from "../parts/banner.js";
import { useConnection } from "../hooks.js";
import { StatusDot } from "../icons.js";
import { useWords } from "../words/context.js";

interface OwnStateProps {
  /** No conversation is open beside the list, whose banner says more, offers what can be done, and is spoken. */
  isAlone: boolean;
  /** There is nothing in the list. */
  isEmpty: boolean;
  onSignIn: (() => void) | undefined;
}

export function OwnState({ isAlone, isEmpty, onSignIn }: OwnStateProps): ReactNode {
  const words = useWords();
  const connection = useConnection();
  const banner = useBanner(connection, isEmpty);
  const announcer = useAnnouncer();
  useBannerVoice(isAlone ? banner : { ...banner, kind: null }, connection, announcer);
  const { kind, news } = banner;
  const act = kind === null ? undefined : actionOf(kind, connection.reconnect, onSignIn);
  return (
    <>
      {kind !== null && (isAlone ? kind !== "signedOut" : kind !== "back") && (
        <div className="tidings-own-state" data-kind={kind}>
          <StatusDot status={shownStatus(connection, kind)} />
          <p>{kind === "back" ? words.backOnline(news) : words.ownState[kind]}</p>
          {isAlone && act && (
            <button type="button" className="tidings-link" onClick={act}>
              {actionName(kind, words)}
            </button>
          )}
        </div>
      )}
      {isAlone && <Announcements announcer={announcer} />}
    </>
  );
}
