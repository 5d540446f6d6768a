/** What tells somebody who looks elsewhere that there is news: a number in the title, a sound. Neither asks for permission. */
import { useEffect } from "react";
import { useInbox, useLatest } from "./hooks.js";
import { useTidings } from "./provider.js";
import { useWords } from "./words/context.js";

/** Many messages at once are one sound. */
const PAUSE_MS = 2000;
/** Two short notes, a fifth apart, Hz. */
const NOTES = [660, 990] as const;
const NOTE_S = 0.14;
const LOUDNESS = 0.08;

/** How many messages are unread, over all conversations. */
export function useUnread(): number {
  return useInbox().unread;
}

/** Titles the page, with the number of unread messages before it while there are any; the former title comes back. */
export function useUnreadTitle(title: string): void {
  const words = useWords();
  const unread = useUnread();
  const shown = unread > 0 ? words.titleWithUnread(unread, title) : title;
  useEffect(() => {
    const before = document.title;
    return () => {
      document.title = before;
    };
  }, []);
  useEffect(() => {
    document.title = shown;
  }, [shown]);
}

/**
 * A sound for a message of somebody else that the user does not see come: of another conversation than `openId`, or while
 * the page has not the focus. Of several tabs one makes it. Off unless `isOn`; a browser lets it be heard once the user has
 * clicked or typed something.
 */
export function useSound(isOn: boolean, openId: string | null = null): void {
  const client = useTidings();
  const open = useLatest(openId);
  useEffect(() => {
    if (!isOn || typeof AudioContext === "undefined") return;
    const audio = new AudioContext();
    let last = Number.NEGATIVE_INFINITY;
    const undo = client.on("message", (message) => {
      const { userId, role } = client.connection.getSnapshot();
      if (message.sender_id === userId || message.message_type === "system" || role === "follower") return;
      if (message.sender_id === open.current && document.hasFocus()) return;
      const now = performance.now();
      if (now - last < PAUSE_MS) return;
      last = now;
      audio
        .resume()
        .then(() => play(audio))
        .catch(() => undefined); // not allowed yet, or closed meanwhile
    });
    return () => {
      undo();
      void audio.close();
    };
  }, [client, isOn, open]);
}

function play(audio: AudioContext): void {
  NOTES.forEach((frequency, index) => {
    const begin = audio.currentTime + index * NOTE_S;
    const note = audio.createOscillator();
    const volume = audio.createGain();
    note.frequency.value = frequency;
    // A tone that is cut clicks.
    volume.gain.setValueAtTime(0, begin);
    volume.gain.linearRampToValueAtTime(LOUDNESS, begin + 0.01);
    volume.gain.exponentialRampToValueAtTime(0.0001, begin + NOTE_S);
    note.connect(volume).connect(audio.destination);
    note.start(begin);
    note.stop(begin + NOTE_S);
  });
}
