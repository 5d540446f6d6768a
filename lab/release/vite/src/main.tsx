import { createRoot } from "react-dom/client";
import { App } from "./messages";

createRoot(document.querySelector("#root")!).render(<App userId="ada" />);
