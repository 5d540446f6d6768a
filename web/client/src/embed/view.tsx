/** One of the views, for whoever is signed in, or what stands in its place until somebody is. */
import { useSyncExternalStore, type ReactNode, type Ref } from "react";
import { ChatLauncher, type ChatLauncherHandle } from "../react/launcher/chat-launcher.js";
import { SignInCorner } from "../react/launcher/corner.js";
import { linkTo } from "../react/launcher/link.js";
import { SignInFirst } from "../react/parts/sign-in-first.js";
import { TidingsProvider } from "../react/provider.js";
import { ChatScreen } from "../react/screen/chat-screen.js";
import { Inbox } from "../react/screen/inbox.js";
import { useLanguage, useWords } from "../react/words/context.js";
import type { Words } from "../react/words/en.js";
import type { Wanted } from "./options.js";
import type { Person } from "./person.js";

interface ViewProps {
  person: Person;
  wanted: Wanted;
  /** Undefined: nobody chose a language, and the direction is the page's. */
  words: Words | undefined;
  /** Whose conversation is open; null: none. */
  shown: string | null;
  /** Their name, if the page has said it. */
  name: string | undefined;
  /** The user, or a call, has opened it: then the focus may go there. */
  isAsked: boolean;
  onShow: (userId: string | null) => void;
  onSignIn: (() => void) | undefined;
  launcher: Ref<ChatLauncherHandle>;
}

export function View({ words, ...props }: ViewProps): ReactNode {
  const { person } = props;
  const signedIn = useSyncExternalStore(person.signedIn.subscribe, person.signedIn.getSnapshot);
  return (
    <TidingsProvider client={person.client} {...(words && { words })}>
      {signedIn === "yes" ? <Chat {...props} /> : <Nobody isSure={signedIn === "no"} {...props} />}
    </TidingsProvider>
  );
}

function Chat({ wanted, shown, name, isAsked, onShow, onSignIn, launcher }: Omit<ViewProps, "words">): ReactNode {
  const { view, corner, people, peopleSearch, rawIds, onNotice } = wanted;
  const named = name !== undefined && { chatUserName: name };
  const signIn = onSignIn && { onSignIn };
  const notice = onNotice && { onNotice };
  const found = {
    ...(people && { suggestions: people }),
    ...(peopleSearch && { peopleSearch }),
    ...(rawIds && { rawIds }),
  };
  switch (view) {
    case "launcher":
      return (
        <ChatLauncher
          ref={launcher}
          {...(wanted.with !== undefined && { chatUserId: wanted.with })}
          {...named}
          {...(corner && { corner })}
          {...found}
          {...signIn}
          {...notice}
        />
      );
    case "inbox":
      return (
        <Inbox
          chatUserId={shown}
          {...named}
          onOpen={onShow}
          onClose={() => onShow(null)}
          backCloses
          hrefFor={linkTo}
          {...found}
          screen={{ autoFocus: isAsked }}
          {...signIn}
          {...notice}
        />
      );
    case "conversation":
      return <ChatScreen chatUserId={shown ?? ""} {...named} autoFocus={isAsked} {...signIn} {...notice} />;
  }
}

/** Nobody is signed in; not `isSure`: that is being asked, and takes no longer than any request. */
function Nobody({ isSure, wanted, onSignIn }: Omit<ViewProps, "words"> & { isSure: boolean }): ReactNode {
  const words = useWords();
  const language = useLanguage();
  if (wanted.view === "launcher") {
    return isSure && onSignIn ? <SignInCorner corner={wanted.corner ?? "end"} onSignIn={onSignIn} /> : null;
  }
  return (
    <section {...language} className="tidings tidings-screen" aria-label={words.messages} aria-busy={!isSure}>
      {isSure && <SignInFirst onSignIn={onSignIn} />}
    </section>
  );
}
