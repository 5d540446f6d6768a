import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "tidings/styles.css";
import "./page.css";
import { App } from "./app.js";
import { chooseLanguage } from "./language.js";
import { start } from "./session.js";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");
void start();
const language = await chooseLanguage();
createRoot(root).render(
  <StrictMode>
    <App language={language} />
  </StrictMode>,
);
