/** `tidings demo`: the person is `?as=ada`, and the server gives a short-lived token on demand. */
import { RealtimeService } from "tidings";
import { preferAs } from "./preference.js";
import { become, findingIn, type Page } from "./session-state.js";

export function startDemo(page: Page): void {
  const userId = new URLSearchParams(location.search).get("as");
  if (userId === null || userId === "") {
    become({ phase: "people", people: page.people });
    return;
  }
  // Anybody may come, so that somebody whom a person of the demo wrote to can answer.
  const me = page.people.find((person) => person.id === userId) ?? { id: userId, name: userId, avatar_url: null };
  const client: RealtimeService = new RealtimeService({
    url: page.api,
    getToken: async () => {
      const given = await demoToken(userId);
      if (given === null) {
        // Nobody can be that; the client must not go on trying.
        queueMicrotask(() => client.disconnect());
        become({ phase: "people", people: page.people });
      }
      return given;
    },
  });
  client.connect(userId);
  preferAs(userId);
  // Who reaches the demo by another way, such as a tunnel, does not reach what controls it.
  const control = page.control?.origins.includes(location.origin) ? page.control : null;
  const canSignOut = false;
  become({
    ...{ phase: "signed_in", client, userId, me, canSignOut },
    ...{ finding: findingIn(page, page.people), demo: true, control, linkRefused: false },
  });
}

/** Null when this cannot be anybody's user id; rejects when trying again may help. */
async function demoToken(userId: string): Promise<string | null> {
  // The address says whose request it is, too: what the demo breaks for one person breaks this, and nobody else's.
  const response = await fetch(`./demo/token?as=${encodeURIComponent(userId)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ as: userId }),
  });
  if (response.status === 422) return null;
  if (!response.ok) throw new Error(`no token: the server answered ${response.status}`);
  return ((await response.json()) as { token: string }).token;
}
