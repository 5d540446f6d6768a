import { Activity, useState, type ReactNode } from "react";
import { ChatScreen, InboxList, type RenderMessage } from "tidings/react";
import { peer } from "./chat";

/** A picture without a size: it is as high as it is once it has come. */
const renderMessage: RenderMessage = ({ message_type, text }) =>
  message_type === "photo" ? <img src={`/late/${text}.svg`} alt={text} /> : null;

export function App(): ReactNode {
  const [isShown, setShown] = useState(true);
  const [isOpen, setOpen] = useState(!location.hash.includes("&closed"));
  const [clicks, setClicks] = useState(0);
  return (
    <main>
      <div>
        <button onClick={() => setShown(!isShown)}>{isShown ? "Hide" : "Show"}</button>
        <button onClick={() => setClicks(clicks + 1)}>version one: {clicks}</button>
        <button id="toggle" onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Close" : "Open"}
        </button>
      </div>
      <Activity mode={isShown ? "visible" : "hidden"}>
        <div className="place">
          {isOpen && <ChatScreen chatUserId={peer} renderMessage={renderMessage} />}
        </div>
      </Activity>
      <div hidden>
        <InboxList onOpen={() => undefined} hrefFor={(id) => `#${id}`} />
      </div>
    </main>
  );
}
