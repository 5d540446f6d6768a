/** A token of the chat for the user of this session, as short-lived as you like: it is asked for again. */
import { SignJWT } from "jose";
import { signedInUser } from "../session";

const secret = new TextEncoder().encode(process.env["TIDINGS_SECRET"]);

export async function POST(): Promise<Response> {
  const user = await signedInUser();
  if (user === null) return new Response("Please sign in.", { status: 401 });
  // With the time at which it was issued, so that it counts again after the user was revoked and has signed in.
  const issued = new SignJWT().setProtectedHeader({ alg: "HS256" }).setSubject(user).setIssuedAt();
  const token = issued.setExpirationTime("5m");
  return new Response(await token.sign(secret));
}
