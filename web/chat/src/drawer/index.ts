/** The drawer's chunk: loaded by the page of a demo only. */
export { Bar } from "./bar.js";
export { Panel } from "./panel.js";
export { begin } from "./open.js";
