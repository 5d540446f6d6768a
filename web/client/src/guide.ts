/**
 * A service that is ready to use, for pages that import one instead of making one:
 *
 *     import { realtimeService } from "tidings/guide";
 *     realtimeService.connect(userId);
 *
 * Without `configure` it talks to `/api/message` of the page's own origin and with the page's cookies. Nothing is
 * requested before `connect`, so that it may be imported anywhere.
 */
import { RealtimeService } from "./service.js";
import type { RealtimeOptions } from "./types.js";

const DEFAULT_URL = "/api/message";

/** The page's one service. */
export let realtimeService = new RealtimeService({ url: DEFAULT_URL });

/** Set address, token and limits. Before the first `connect`: it puts another service in place of the first. */
export function configure(options: Partial<RealtimeOptions>): RealtimeService {
  if (realtimeService.connection.getSnapshot().status !== "idle") {
    throw new Error("configure() comes before the first connect()");
  }
  realtimeService = new RealtimeService({ url: DEFAULT_URL, ...options });
  return realtimeService;
}

export { RealtimeService };
