/**
 * News in the browser's own notifications, for somebody who looks at something else. The browser is asked when the user
 * switches them on, never before; what it has refused it is not asked again.
 */
import { useEffect, useRef } from "react";
import { useTidings } from "tidings/react";

/** Of a text, so much stands in a notification. */
const TEXT_MAX = 200;

/** What the browser lets this page do; `missing`: it has none, or not for a page without TLS. */
export function notificationPermission(): NotificationPermission | "missing" {
  return typeof Notification === "undefined" || !isSecureContext ? "missing" : Notification.permission;
}

/** Ask the user, by the browser. True: they are allowed. */
export async function allowNotifications(): Promise<boolean> {
  return (await Notification.requestPermission()) === "granted";
}

/**
 * A notification for a message of somebody else that comes while the page has not the focus; of several tabs one makes it.
 * The latest of a person takes the place of their last one. A click leads to the conversation.
 */
export function useNotifications(isOn: boolean, nameOf: (userId: string) => string, onOpen: (userId: string) => void) {
  const client = useTidings();
  const latest = useRef({ nameOf, onOpen });
  useEffect(() => {
    latest.current = { nameOf, onOpen };
  });
  useEffect(() => {
    if (!isOn || notificationPermission() !== "granted") return;
    return client.on("message", ({ sender_id: sender, message_type: type, text }) => {
      const { userId, role } = client.connection.getSnapshot();
      if (sender === userId || type === "system" || role === "follower" || document.hasFocus()) return;
      const shown = new Notification(latest.current.nameOf(sender), {
        body: text.slice(0, TEXT_MAX),
        tag: `tidings ${userId} ${sender}`,
      });
      shown.onclick = () => {
        window.focus();
        latest.current.onOpen(sender);
        shown.close();
      };
    });
  }, [client, isOn]);
}
