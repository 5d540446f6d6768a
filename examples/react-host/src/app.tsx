import { useEffect, type ReactNode } from "react";
import { RealtimeService } from "tidings";
import { ChatScreen, TidingsProvider } from "tidings/react";
import "tidings/styles.css";
import { close, open, usePerson } from "./address";
import "./app.css";
import { getToken, signIn, signOut, useAuth } from "./auth";
import { useToasts } from "./toasts";

/** One for the page, outside of components: it owns the connection. */
const chat = new RealtimeService({ url: "/api/message", getToken });

export function App(): ReactNode {
  const { userId } = useAuth();
  useEffect(() => {
    if (userId === null) return;
    chat.connect(userId);
    return () => chat.disconnect();
  }, [userId]);
  return <TidingsProvider client={chat}>{userId === null ? <SignIn /> : <Matches userId={userId} />}</TidingsProvider>;
}

function SignIn(): ReactNode {
  return (
    <form action={async (data) => signIn(String(data.get("name")))}>
      <label>
        Your name <input name="name" required />
      </label>
      <button>Sign in</button>
    </form>
  );
}

/** Nothing of theirs stays on the device, nor in the address. */
async function leave(): Promise<void> {
  close();
  await chat.signOut();
  await signOut();
}

const MATCHES = { ada: "Ada Lovelace", ben: "Ben Okri", hermit: "The Hermit" };
type Match = keyof typeof MATCHES;
/** The address may say anything. */
const isMatch = (id: string | null): id is Match => id !== null && Object.hasOwn(MATCHES, id);

function Matches({ userId }: { userId: string }): ReactNode {
  const match = usePerson();
  const { toast, toasts } = useToasts();
  return (
    <main>
      <header>
        <h1>Matches of {userId}</h1>
        <button onClick={() => void leave()}>Sign out</button>
      </header>
      <nav>
        {Object.keys(MATCHES)
          .filter((id): id is Match => id !== userId)
          .map((id) => (
            <button key={id} onClick={() => open(id)}>
              {MATCHES[id]}
            </button>
          ))}
      </nav>
      <section>
        {isMatch(match) && (
          <ChatScreen
            chatUserId={match}
            chatUserName={MATCHES[match]}
            onBack={close}
            onNotice={(notice) => toast(notice.message)}
            onSignIn={() => void signOut()} // what is unsent stays, for the same user
          />
        )}
      </section>
      {toasts}
    </main>
  );
}
