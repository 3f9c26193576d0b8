// npm ai-sdk-provider-codex-app-server, with npm ai. Called with STEP CODEX HOME [THREAD] TEXT; prints {"thread", "text"} as JSON.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [step, codexPath, home, thread, prompt] = process.argv.slice(2);
const { resolve } = createRequire(join(process.env.CLIENTS_NPM, "package.json"));
const load = (name) => import(pathToFileURL(resolve(name)).href);
const [{ createCodexAppServer }, { streamText }] = await Promise.all([load("ai-sdk-provider-codex-app-server"), load("ai")]);

const settings = { codexPath, cwd: process.cwd(), env: { CODEX_HOME: home } };
const provider = createCodexAppServer({ defaultSettings: step === "resume" ? { ...settings, resume: thread } : settings });
const answer = streamText({ model: provider("echo"), prompt });
let text = "";
for await (const part of answer.textStream) text += part;
const metadata = Object.values((await answer.providerMetadata) ?? {})[0];
console.log(JSON.stringify({ thread: metadata?.sessionId, text }));
await provider.close?.();
process.exit(0);
