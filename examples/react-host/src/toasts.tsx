/** The application's own notices; a toast library would do. */
import { useState, type ReactNode } from "react";

export function useToasts(): { toast: (text: string) => void; toasts: ReactNode } {
  const [texts, setTexts] = useState<string[]>([]);
  const toast = (text: string) => {
    setTexts((before) => [...before, text]);
    setTimeout(() => setTexts((before) => before.slice(1)), 6000);
  };
  return {
    toast,
    toasts: (
      <div role="log">
        {texts.map((text, index) => (
          <p key={index}>{text}</p>
        ))}
      </div>
    ),
  };
}
