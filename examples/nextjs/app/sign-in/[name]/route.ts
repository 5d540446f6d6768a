/** The name in the address is that person: an example has no passwords. */
export async function GET(_request: Request, { params }: { params: Promise<{ name: string }> }): Promise<Response> {
  const user = encodeURIComponent((await params).name);
  const headers = { Location: "/", "Set-Cookie": `user=${user}; Path=/; HttpOnly; SameSite=Lax` };
  return new Response(null, { status: 303, headers });
}
