export { RealtimeService, type RealtimeEvents } from "./service.js";
export type * from "./types.js";
