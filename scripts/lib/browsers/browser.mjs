// A browser without a window, for world.py: each line of JSON on standard input is a command, each line on standard output
// the answer to one, in any order.
//   {"id", "open": TAB, "context": NAME}            a tab of this name; tabs of one context share what pages store
//   {"id", "open": TAB, "context": null}            this name for the tab that the browser has already (Chromium)
//   {"id", "permit": NAME, "with": [NAMES, {..}]}   permissions of a context
//   {"id", "tab": TAB, "do": METHOD, "with": [..]}  a method of the driver's page, such as goto, evaluate, keyboard.press
//   {"id", "tab": TAB, "role": [ROLE, {..}], "do", "with"}  a method of the elements with this role, such as click, count
//   {"id", "make": NAME, "with": [{..}]}            a context with options, such as the size of its window (Chromium)
//   {"id", "noted": TAB}                            errors, dialogs and addresses of requests since the tab was opened
//   {"id", "drop": TAB}                             closes the tab
//   {"id", "heap": TAB}                             bytes and nodes of the tab after a collection of garbage (Chromium)
// Arguments: chromium or firefox, the program, and further arguments for it; or chromium and the address at which a running
// one takes debuggers. It exits at the end of its input.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [kind, executablePath, ...given] = process.argv.slice(2);
const drivers = createRequire(join(process.env.BROWSERS_DRIVERS, "package.json"));
const browser = kind === "chromium" ? await chromium() : await firefox();
const contexts = {};
const tabs = {};
const notes = {};

async function chromium() {
  // Several browsers start at once on a busy machine: the time for a start is no promise of theirs.
  const timeout = 120_000;
  if (executablePath.startsWith("http:")) return await drivers("playwright-core").chromium.connectOverCDP(executablePath, { timeout });
  // No requests, except to this machine.
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"];
  const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", ...quiet, ...given];
  return await drivers("playwright-core").chromium.launch({ executablePath, args, headless: true, timeout });
}

// playwright-core needs a patched or a newer Firefox; puppeteer-core drives Debian's.
async function firefox() {
  const nowhere = { "network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": 9 };
  const direct = { "network.proxy.no_proxies_on": "127.0.0.1", "network.proxy.ssl": "127.0.0.1", "network.proxy.ssl_port": 9 };
  const extraPrefsFirefox = { ...nowhere, ...direct };
  return await drivers("puppeteer-core").launch({ browser: "firefox", executablePath, extraPrefsFirefox, headless: true });
}

async function context(name) {
  // Both drivers have contexts, under different names.
  contexts[name] ??= kind === "chromium" ? browser.newContext() : browser.createBrowserContext();
  return await contexts[name];
}

/** Notes what a tab says and asks for. */
function note(tab, page) {
  const found = { errors: [], dialogs: [], requests: [] };
  page.on("console", (message) => message.type() === "error" && found.errors.push(message.text()));
  page.on("pageerror", (error) => found.errors.push(`thrown: ${error.message}`));
  page.on("request", (request) => found.requests.push(request.url()));
  page.on("dialog", (dialog) => (found.dialogs.push(dialog.message()), dialog.dismiss()));
  notes[tab] = found;
  // Just below the limit of every wait in Python.
  page.setDefaultTimeout(55_000);
}

/** What the page holds when its garbage is gone. */
async function measure(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  await session.detach();
  const of = (name) => metrics.find((one) => one.name === name).value;
  return { bytes: of("JSHeapUsedSize"), nodes: of("Nodes") };
}

async function wish({ open, permit, make, noted, drop, heap, tab, role, do: method, context: of, with: arguments_ }) {
  if (open !== undefined) note(open, (tabs[open] = of === null ? browser.contexts()[0].pages()[0] : await (await context(of)).newPage()));
  else if (make !== undefined) await (contexts[make] = browser.newContext(...arguments_));
  else if (noted !== undefined) return notes[noted];
  else if (drop !== undefined) await tabs[drop].close();
  else if (heap !== undefined) return await measure(tabs[heap]);
  else if (role !== undefined) {
    const { nth, ...options } = role[1] ?? {};
    const found = tabs[tab].getByRole(role[0], options);
    return await (nth === undefined ? found : found.nth(nth))[method](...arguments_);
  }
  else if (permit !== undefined) await (await context(permit)).grantPermissions(...arguments_);
  else {
    const path = method.split(".");
    const owner = path.length > 1 ? tabs[tab][path[0]] : tabs[tab];
    const value = await owner[path.at(-1)](...arguments_);
    // The answer to a navigation is an object of the driver: its status.
    return typeof value?.status === "function" ? value.status() : value;
  }
}

async function answer(line) {
  const { id, ...wished } = JSON.parse(line);
  let answered;
  try {
    answered = { id, value: (await wish(wished)) ?? null };
  } catch (error) {
    answered = { id, error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answered) + "\n");
}

for await (const line of createInterface({ input: process.stdin })) answer(line);
await browser.close();
process.exit(0);
