/** What has the focus, and giving it back. */

/** What has the focus in the tree that this element stands in; of a shadow root a document knows only the host. */
export function focusedIn(element: Element | null): Element | null {
  const around = element?.getRootNode() as Partial<DocumentOrShadowRoot> | undefined;
  return around?.activeElement ?? null;
}

/** What can have it; one that was taken away cannot, nor one that is hidden, though it may seem to have it still. */
export function isThere(element: Element): boolean {
  // An older browser does not tell; nor does a test's DOM.
  return element.isConnected && (element.checkVisibility?.() ?? true);
}

/** Whether nothing has it, as when what had it is gone. */
export function isFocusNowhere(tree: Element | null): boolean {
  const { activeElement } = document;
  const focused = focusedIn(tree);
  return activeElement === null || activeElement === document.body || (focused !== null && !isThere(focused));
}

/** Without scrolling to it: it is in sight, or was, when it had the focus before. */
export function focusOn(element: Element | null): void {
  if (element instanceof HTMLElement && element.isConnected) element.focus({ preventScroll: true });
}
