// A browser without a window, for web.py: each line of JSON on standard input is a command, each line on standard output its answer.
//   {"open": TAB, "url": URL}                 a tab of this name
//   {"tab": TAB, "do": METHOD, "with": [..]}  a method of playwright's page, such as click, fill, press, evaluate
// Arguments: the program and a folder for its profile. It exits at the end of its input.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [executablePath, profile] = process.argv.slice(2);
const { chromium } = createRequire(join(process.env.CLIENTS_BROWSER, "package.json"))("playwright-core");
// No requests, except to the page's server.
const alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";
const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", alone];
const args = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", ...quiet];
const browser = await chromium.launchPersistentContext(profile, { executablePath, args, viewport: { width: 1400, height: 900 } });
const tabs = {};

async function wish({ open, url, tab, do: method, with: given }) {
  if (open === undefined) return await tabs[tab][method](...given);
  tabs[open] = await browser.newPage();
  tabs[open].setDefaultTimeout(20_000);
  await tabs[open].goto(url);
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { value: (await wish(JSON.parse(line))) ?? null };
    if (Buffer.isBuffer(answer.value)) answer = { value: null };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
process.exit(0);
