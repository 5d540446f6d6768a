import type { ReactNode } from "react";
import "tidings/styles.css";

export const metadata = { title: "Messages" };

export default function Layout({ children }: { children: ReactNode }): ReactNode {
  return (
    <html lang="en">
      <body style={{ margin: 0, fontFamily: "system-ui, sans-serif" }}>{children}</body>
    </html>
  );
}
