"use client";
import { App } from "../messages";

export default function Page() {
  return <App userId="ada" />;
}
