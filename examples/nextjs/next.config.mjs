/** The chat is asked under the page's own origin, and by nobody else. @type {import("next").NextConfig} */
const config = {
  async rewrites() {
    const server = process.env.TIDINGS_URL ?? "http://127.0.0.1:8000";
    return [{ source: "/api/message/:path*", destination: `${server}/api/message/:path*` }];
  },
};

export default config;
