/** Where there is nothing to see yet: two bubbles, drawn in the host's colours. */
import type { ReactNode } from "react";

export function EmptyArt(): ReactNode {
  return (
    <svg className="tidings-art" viewBox="0 0 200 140" aria-hidden="true" focusable="false">
      <rect
        x="16"
        y="12"
        width="112"
        height="46"
        rx="20"
        fill="var(--t-other)"
        stroke="var(--t-line)"
        strokeWidth="2"
      />
      <path d="M37 31h52M37 43h30" stroke="var(--t-muted)" strokeWidth="6" strokeLinecap="round" opacity=".4" />
      <rect x="64" y="68" width="120" height="54" rx="22" fill="var(--t-own)" />
      <path d="M87 87h66M87 101h34" stroke="var(--t-own-fg)" strokeWidth="6" strokeLinecap="round" opacity=".7" />
      <g fill="none" strokeLinecap="round" strokeLinejoin="round">
        <path d="M144 101l4.5 4.5 8-9.5M156 104.5l1 1 8-9.5" stroke="var(--t-read)" strokeWidth="3" />
        <circle cx="36" cy="96" r="14" fill="var(--t-selected)" />
        <path d="M29 97c2 5 12 5 14 0M32 92v.5M40 92v.5" stroke="var(--t-accent)" strokeWidth="2.5" />
      </g>
    </svg>
  );
}
