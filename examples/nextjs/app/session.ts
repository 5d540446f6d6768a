/** Who is signed in: what Auth.js, Clerk or your own sign-in tells you. An example takes the word of a cookie. */
import { cookies } from "next/headers";

export async function signedInUser(): Promise<string | null> {
  return (await cookies()).get("user")?.value || null;
}
