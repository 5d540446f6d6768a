/** What a link in a message must not do: tell the very page that shows it who uses it. */

/** By these the served page and the demo learn that. */
const SIGN_IN = /^#token=/i;
const PERSON = /[?&]as=/i;

/**
 * Whether this address leads to the page that shows it and says who somebody is there: whoever follows it would be signed in as
 * its writer. Such an address is shown as text. Scheme and port do not matter, which a redirection may change.
 */
export function leadsToSignIn(href: string): boolean {
  if (typeof location === "undefined") return false;
  try {
    const { hostname, pathname, hash, search } = new URL(href, location.href);
    const isHere = hostname === location.hostname && folder(pathname) === folder(location.pathname);
    return isHere && (SIGN_IN.test(hash) || PERSON.test(search));
  } catch {
    return false;
  }
}

function folder(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
