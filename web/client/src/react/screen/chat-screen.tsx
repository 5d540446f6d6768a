import { useEffect, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import type { Notice, PendingMessage, Person } from "../../types.js";
import { Announcements, useAnnouncer } from "../parts/announcer.js";
import { Banner, shownStatus, useBanner, useBannerVoice } from "../parts/banner.js";
import { Composer } from "./composer.js";
import { Header } from "./header.js";
import { useHeightNeeded } from "./height-needed.js";
import { useConnection, useConversationState, useLatest } from "../hooks.js";
import { RenderMessageContext, type RenderMessage } from "../thread/message-body.js";
import { focusedIn } from "../parts/focus.js";
import { useKeptFocus } from "../parts/kept-focus.js";
import { MessageList } from "../thread/message-list.js";
import type { MessageActions } from "../thread/message-menu.js";
import { NoConversation } from "./no-conversation.js";
import { nameInSentence } from "../words/name-in-sentence.js";
import { useNoDrop } from "./no-drop.js";
import { useNotices } from "./notices.js";
import { useTidings } from "../provider.js";
import { SignInFirst } from "../parts/sign-in-first.js";
import { BlockedNote, RefusedNote, Safety, type SafetySubject } from "./safety.js";
import { useThread } from "../thread/thread.js";
import { focusThread, hasFinePointer } from "./thread-focus.js";
import { userIdProblem } from "../inbox/user-id.js";
import { Unsent } from "./unsent.js";
import { useLanguage, useWords } from "../words/context.js";
import type { Words } from "../words/en.js";

export interface ChatScreenProps {
  /** The user id of the other person. */
  chatUserId: string;
  /** Their name; else what the server says, else the id. */
  chatUserName?: string;
  /** Told of each failure once: a send refused, a page not loaded, the connection given up for polling, the sign-in ended. */
  onNotice?: (notice: Notice) => void;
  /** Shows a back button, on narrow screens, that calls this. */
  onBack?: () => void;
  /** Shows "Sign in" where nobody is signed in, or the sign-in has ended. */
  onSignIn?: () => void;
  /**
   * Draws the messages of types of your own (`message_type`), inside their bubble; null or undefined shows their text. What loads
   * later, such as a picture, should have its size from the start; if it has not, the list keeps its place nevertheless.
   */
  renderMessage?: RenderMessage;
  /**
   * True: Enter sends, and Shift+Enter begins a line. False: Enter begins a line, and Ctrl or Cmd with Enter sends. By default it
   * is as the pointer is: on a phone a line begins, and the button sends.
   */
  enterSends?: boolean;
  /** What to do in a conversation that has no messages yet: suggestions for a first one, say. */
  emptyAction?: ReactNode;
  /** Put the focus into the composer when the conversation opens; only where there is a fine pointer. */
  autoFocus?: boolean;
}

/** A conversation with one person: header, connection banner, messages, composer. */
export function ChatScreen(props: ChatScreenProps): ReactNode {
  const words = useWords();
  const { userId } = useConnection();
  const { chatUserId, onBack } = props;
  if (chatUserId === "") return <NoConversation title={words.noneChosen} onBack={onBack} />;
  const isSelf = chatUserId === userId;
  // Out of a link, say; the server would refuse each of its requests.
  const problem = isSelf ? words.selfHint : userIdProblem(chatUserId, null, words.userId);
  if (problem !== null) {
    return (
      <NoConversation title={isSelf ? words.selfTitle : words.nobodyTitle} onBack={onBack}>
        {problem}
      </NoConversation>
    );
  }
  // Everything below belongs to one conversation; with the next one it starts anew.
  return <Thread key={chatUserId} {...props} />;
}

/** Refusals that are about who the two are: the next message would be refused like this one. */
const FOR_GOOD: ReadonlySet<string> = new Set(["not_allowed", "unknown_person"]);

function whyRefused({ error }: PendingMessage, name: string, words: Words): string {
  const why = words.refusal(error?.code ?? "", error?.message ?? "");
  // Nobody is there, neither now nor later.
  return error?.code === "unknown_person" ? why : `${words.cannotWrite(name)} ${why}`;
}

function Thread(props: ChatScreenProps): ReactNode {
  const { chatUserId, chatUserName, onNotice, onBack, onSignIn, renderMessage, autoFocus = false, enterSends } = props;
  const client = useTidings();
  const words = useWords();
  const language = useLanguage();
  const connection = useConnection();
  const { conversation, snapshot } = useConversationState(chatUserId);
  const person: Person = snapshot.peer ?? { id: chatUserId, name: chatUserName ?? chatUserId, avatar_url: null };
  const announcer = useAnnouncer();

  const thread = useThread(conversation, snapshot);

  const banner = useBanner(connection, !snapshot.loaded && snapshot.pending.length === 0);
  const isSignedOut = banner.kind === "signedOut";
  const heading = chatUserName ?? (isSignedOut ? words.messages : person.name);
  const name = nameInSentence(heading);
  const { warn, incoming } = announcer;
  useBannerVoice(banner, connection, announcer);
  const status = shownStatus(connection, banner.kind);
  const { isCatchingUp } = banner;

  const nameNow = useLatest(name);
  useEffect(
    () =>
      client.on("message", (message) => {
        if (message.sender_id === chatUserId && !isCatchingUp()) incoming(nameNow.current, message.text);
      }),
    [client, chatUserId, incoming, nameNow, isCatchingUp],
  );

  useNotices(snapshot, connection, (notice) => {
    if (notice.kind === "send_failed") warn(words.announceFailed(notice.message));
    onNotice?.(notice);
  });

  const send = (text: string): void => {
    conversation.send(text);
    thread.sent();
  };

  useEffect(() => conversation.watch(), [conversation]);

  const [safety, setSafety] = useState<SafetySubject | null>(null);
  const screen = useRef<HTMLElement>(null);
  const moreButton = useRef<HTMLButtonElement>(null);
  const opener = useRef<Element | null>(null);
  const openSafety = (subject: SafetySubject): void => {
    opener.current = focusedIn(screen.current);
    setSafety(subject);
  };
  const closeSafety = (): void => {
    setSafety(null);
    // A message may be gone meanwhile; and a click focuses no button in some browsers.
    const { current } = opener;
    const isThere = current instanceof HTMLElement && current !== document.body && current.isConnected;
    (isThere ? current : moreButton.current)?.focus({ preventScroll: true });
  };
  const actions: MessageActions = {
    report: (seq, text) => openSafety({ view: "report", message: { seq, text } }),
    block: snapshot.blocked ? null : () => openSafety({ view: "block", message: null }),
    say: announcer.say,
  };

  const [focusComposer, setFocusComposer] = useState(() => autoFocus && hasFinePointer());
  useKeptFocus(screen, { goTo: () => focusThread(screen.current) });
  useNoDrop(screen);
  useHeightNeeded(screen);
  const toComposer = (): void => {
    screen.current?.querySelector<HTMLElement>(".tidings-composer textarea")?.focus({ preventScroll: true });
  };
  const refused = snapshot.pending
    .filter(({ state, error }) => state === "failed" && FOR_GOOD.has(error?.code ?? ""))
    .at(-1);
  const [overlooked, setOverlooked] = useState<string | null>(null);

  /** Escape closes what is open, else leads to the end; what is inside takes it first. */
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || event.defaultPrevented || event.nativeEvent.isComposing) return;
    if (!safety) return thread.scroll.toEnd(true);
    event.preventDefault();
    closeSafety();
  };

  return (
    <section
      {...language}
      ref={screen}
      className="tidings tidings-screen"
      data-connection={status}
      aria-label={isSignedOut ? words.messages : words.messagesWith(name)}
      onKeyDown={onKeyDown}
    >
      <Header
        person={{ ...person, name: heading }}
        snapshot={snapshot}
        hasMenu={!isSignedOut}
        isReached={status === "connected" || status === "polling"}
        focus={autoFocus && !focusComposer}
        onBack={onBack}
        moreButton={moreButton}
        onReport={() => openSafety({ view: "report", message: null })}
        onBlock={() => openSafety({ view: "block", message: null })}
      />
      {safety && (
        <Safety
          key={`${safety.view} ${safety.message?.seq ?? ""}`}
          name={name}
          conversation={conversation}
          blocked={snapshot.blocked}
          subject={safety}
          onClose={closeSafety}
        />
      )}
      {banner.kind === null ? (
        <Unsent pending={snapshot.pending} conversation={conversation} onDone={toComposer} />
      ) : (
        <Banner banner={banner} connection={connection} onReconnect={connection.reconnect} onSignIn={onSignIn} />
      )}
      {isSignedOut ? (
        <SignInFirst onSignIn={onSignIn} />
      ) : (
        <RenderMessageContext.Provider value={renderMessage ?? null}>
          <MessageList
            conversation={conversation}
            snapshot={snapshot}
            thread={thread}
            person={{ ...person, name: heading }}
            name={name}
            emptyAction={props.emptyAction}
            actions={actions}
          />
        </RenderMessageContext.Provider>
      )}
      {isSignedOut ? null : snapshot.blocked ? (
        <BlockedNote name={name} conversation={conversation} />
      ) : refused && refused.client_id !== overlooked ? (
        <RefusedNote
          text={whyRefused(refused, name, words)}
          onWrite={() => {
            setOverlooked(refused.client_id);
            setFocusComposer(true);
          }}
        />
      ) : (
        <Composer
          name={name}
          initialText={conversation.getDraft()}
          bytesMax={connection.textBytesMax}
          focusOnMount={focusComposer}
          enterSends={enterSends}
          onChange={(text) => {
            conversation.setDraft(text);
            if (text !== "") conversation.typing();
          }}
          onSend={send}
        />
      )}
      <Announcements announcer={announcer} />
    </section>
  );
}
