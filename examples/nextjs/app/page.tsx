import { Suspense, type ReactNode } from "react";
import { Messages } from "./messages";
import { signedInUser } from "./session";

export default async function Page(): Promise<ReactNode> {
  const userId = await signedInUser();
  if (userId === null)
    return (
      <p>
        Sign in as <a href="/sign-in/ada">Ada</a> or <a href="/sign-in/ben">Ben</a>.
      </p>
    );
  return (
    <Suspense>
      <Messages userId={userId} />
    </Suspense>
  );
}
