/**
 * ChatScreen where hosts put it, with the package's own stylesheet: `?in=` an element of the page (the default), `shadow`: a
 * shadow root, `form`: a portal that React has below a form of the host's.
 */
import { useState, type FormEvent, type ReactNode } from "react";
import { createPortal } from "react-dom";
import { createRoot } from "react-dom/client";
import { RealtimeService } from "tidings";
import { ChatScreen, TidingsProvider } from "tidings/react";
import sheet from "tidings/styles.css?inline";

const query = new URLSearchParams(location.search);
const chat = new RealtimeService({
  url: "/api/message",
  getToken: () => query.get("as"),
  storage: "memory",
});
chat.connect(query.get("as") ?? "");
Object.assign(window, { chat });

const place = document.getElementById("place") as HTMLElement;

function styled(root: Document | ShadowRoot): void {
  const made = new CSSStyleSheet();
  made.replaceSync(sheet);
  root.adoptedStyleSheets = [made];
}

const screen = (
  <TidingsProvider client={chat}>
    <ChatScreen chatUserId={query.get("with") ?? ""} />
  </TidingsProvider>
);

function Form(): ReactNode {
  const [submitted, setSubmitted] = useState(0);
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    setSubmitted(submitted + 1);
  };
  return (
    <form
      onSubmit={onSubmit}
      onKeyDown={(event) =>
        event.key === "Enter" && setSubmitted(submitted + 100)
      }
    >
      <input aria-label="A field of the host" />
      <button>Submit</button>
      <output>{submitted}</output>
      {createPortal(screen, place)}
    </form>
  );
}

if (query.get("in") === "shadow") {
  const shadow = place.attachShadow({ mode: "open" });
  const inner = document.createElement("div");
  inner.style.height = "500px";
  shadow.append(inner);
  styled(shadow);
  createRoot(inner).render(screen);
} else if (query.get("in") === "form") {
  styled(document);
  const beside = document.createElement("div");
  place.before(beside);
  createRoot(beside).render(<Form />);
} else {
  styled(document);
  createRoot(place).render(screen);
}
