import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { restore } from "./auth";

await restore();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
