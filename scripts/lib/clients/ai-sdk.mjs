// npm ai-sdk-provider-codex-app-server, with npm ai. Arguments: STEP CODEX HOME THREAD TEXT. Its output: see driver.py.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [step, codexPath, home, thread, prompt] = process.argv.slice(2);
const { resolve } = createRequire(join(process.env.CLIENTS_NPM, "package.json"));
const load = (name) => import(pathToFileURL(resolve(name)).href);
const [{ createCodexAppServer }, { streamText }] = await Promise.all([load("ai-sdk-provider-codex-app-server"), load("ai")]);

let session;
const settings = { codexPath, cwd: process.cwd(), env: { CODEX_HOME: home }, onSessionCreated: (it) => (session = it) };
const provider = createCodexAppServer({ defaultSettings: step === "resume" ? { ...settings, resume: thread } : settings });
const times = [];
let text = "";
const abort = new AbortController();
const answer = streamText({ model: provider("echo"), prompt, abortSignal: abort.signal });
for await (const part of answer.textStream) {
  text += part;
  times.push(performance.now());
  // The client does not report the end of an interrupt; the server shows it.
  if (step === "interrupt" && times.length === 1) await session.interrupt();
  if (step === "start") break;
}
const seconds = times.length ? (times.at(-1) - times[0]) / 1000 : 0;
console.log(JSON.stringify({ thread: session.threadId, text, pieces: times.length, seconds, asked: [] }));
process.exit(0);
