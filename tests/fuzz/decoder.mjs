/**
 * The event stream decoder of the TypeScript client, for whoever compares it: decoder.mjs SSE_TS TYPESCRIPT SIZE_MAX.
 *
 * A line in is a JSON list of chunks in base64; a line out is what came of them: [events, last event id, reconnection
 * time, whether the bound was passed]. The module is compiled here, as it stands: it imports nothing.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [source, compiler, sizeMax] = process.argv.slice(2);
const { default: typescript } = await import(pathToFileURL(compiler).href);
const options = { module: typescript.ModuleKind.ESNext, target: typescript.ScriptTarget.ES2022 };
const { outputText } = typescript.transpileModule(readFileSync(source, "utf8"), { compilerOptions: options });
const { EventTooLarge, SseDecoder } = await import(`data:text/javascript,${encodeURIComponent(outputText)}`);

for await (const line of createInterface({ input: process.stdin })) {
  const decoder = new SseDecoder({ sizeMax: Number(sizeMax) });
  const events = [];
  let isOver = false;
  try {
    for (const chunk of JSON.parse(line)) {
      for (const { event, data, id } of decoder.push(Buffer.from(chunk, "base64"))) events.push([event, data, id]);
    }
  } catch (error) {
    if (!(error instanceof EventTooLarge)) throw error;
    isOver = true;
  }
  process.stdout.write(`${JSON.stringify([events, decoder.lastEventId, decoder.retryMs, isOver])}\n`);
}
