/**
 * The event stream decoder of the TypeScript client, for whoever compares it: decoder.mjs TYPESCRIPT SIZE_MAX SSE_TS...
 *
 * A line in is a JSON list of chunks in base64; a line out is what each of the modules named makes of them: [events, last
 * event id, reconnection time, whether the bound was passed]. They are compiled here, as they stand: they import nothing.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [compiler, sizeMax, ...sources] = process.argv.slice(2);
const { default: typescript } = await import(pathToFileURL(compiler).href);
const options = { module: typescript.ModuleKind.ESNext, target: typescript.ScriptTarget.ES2022 };
const modules = [];
for (const source of sources) {
  const { outputText } = typescript.transpileModule(readFileSync(source, "utf8"), { compilerOptions: options });
  modules.push(await import(`data:text/javascript,${encodeURIComponent(outputText)}`));
}

function read({ EventTooLarge, SseDecoder }, chunks) {
  const decoder = new SseDecoder({ sizeMax: Number(sizeMax) });
  const events = [];
  let isOver = false;
  try {
    for (const chunk of chunks) {
      for (const { event, data, id } of decoder.push(Buffer.from(chunk, "base64"))) events.push([event, data, id]);
    }
  } catch (error) {
    if (!(error instanceof EventTooLarge)) throw error;
    isOver = true;
  }
  return [events, decoder.lastEventId, decoder.retryMs, isOver];
}

for await (const line of createInterface({ input: process.stdin })) {
  const chunks = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(modules.map((module) => read(module, chunks)))}\n`);
}
