import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { TidingsProvider } from "tidings/react";
import "tidings/styles.css";
import { App } from "./app";
import { chat } from "./chat";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <TidingsProvider client={chat}>
      <App />
    </TidingsProvider>
  </StrictMode>,
);
