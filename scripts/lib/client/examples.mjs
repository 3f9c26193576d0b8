// The examples in Chromium, and what the client keeps there. Arguments: skein, the folder with the built client, Chromium.

import { readFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { HEARTBEAT, keptCases, PAGE } from "./kept.mjs";
import { serve } from "./server.mjs";

const [skein, built, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(join(process.env.EXAMPLES_DRIVERS, "package.json"))("playwright-core");
const EXAMPLES = "protocol/typescript/examples";

/** The blocks of docs/web.md that name an example are the example, which is short. */
function documentIsTrue() {
  const text = readFileSync("docs/web.md", "utf8");
  for (const [name, language, most] of [["chat.html", "html", 30], ["react.jsx", "jsx", 40]]) {
    const code = readFileSync(join(EXAMPLES, name), "utf8");
    const lines = code.split("\n").length - 1;
    if (lines > most) throw new Error(`${EXAMPLES}/${name} has ${lines} lines, not at most ${most}`);
    const block = `\`\`\`${language}\n${code}\`\`\`\n`;
    if (!text.includes(block)) throw new Error(`docs/web.md does not have ${EXAMPLES}/${name} as it is`);
  }
}

/** Another program serves the pages, so they have their own origin. */
async function pages() {
  let server = "";
  const files = {
    "/chat.html": () => [readFileSync(join(EXAMPLES, "chat.html"), "utf8"), "text/html"],
    "/skein-client.js": () => [readFileSync(join(built, "skein-client.min.js"), "utf8"), "text/javascript"],
    "/kept.html": () => [PAGE, "text/html"],
    "/react.js": () => [readFileSync(join(built, "react.js"), "utf8"), "text/javascript"],
    "/react.html": () => ['<!doctype html><meta charset="utf-8"><div id="root"></div><script type="module" src="react.js"></script>', "text/html"],
    "/favicon.ico": () => ["", "image/x-icon"],
  };
  const http = createServer((request, response) => {
    const [text, type] = files[new URL(request.url, "http://page").pathname]?.() ?? ["", "text/plain"];
    response.setHeader("Content-Type", type);
    response.end(text.replaceAll("127.0.0.1:4500", server));
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${http.address().port}`, at: (address) => (server = address), end: () => http.close() };
}

documentIsTrue();
const page = await pages();
const server = await serve(skein, `[browser]\norigins = ["${page.origin}"]\n[connections]\nheartbeat = "${HEARTBEAT * 1000}ms"\n`);
const profile = mkdtempSync(join(tmpdir(), "skein-examples-"));
let browser;
try {
  const host = server.address.replace("ws://", "");
  page.at(host);
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ scope: "chat" }) };
  const { ticket } = await (await fetch(`http://${host}/auth/ticket`, options)).json();
  browser = await chromium.launchPersistentContext(profile, { executablePath, args: ["--no-sandbox", "--disable-gpu"], headless: true });
  const tab = await browser.newPage();
  tab.setDefaultTimeout(20_000);
  const errors = [];
  tab.on("pageerror", (error) => errors.push(error.message));
  tab.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  const send = async (text) => {
    await tab.getByLabel("Message").click();
    await tab.keyboard.type(text);
    await tab.getByRole("button", { name: "Send" }).click();
    // The message, and the answer of the model that repeats it.
    await tab.getByRole("log").getByText(text, { exact: true }).nth(1).waitFor();
  };
  await tab.goto(`${page.origin}/chat.html#ticket=${ticket}`);
  await tab.getByRole("status").getByText("live").waitFor();
  await send("hello from a page");
  if (tab.url().includes("ticket")) throw new Error("the address has the ticket");
  await tab.reload();
  await tab.getByRole("log").getByText("hello from a page", { exact: true }).nth(1).waitFor();
  console.log("chat.html  ok");
  await tab.goto(`${page.origin}/react.html`);
  await tab.getByRole("status").getByText("live").waitFor();
  await send("hello from React");
  console.log("react.jsx  ok");
  const { connect } = await import(pathToFileURL(join(built, "skein-client.min.js")));
  await keptCases({ browser, origin: page.origin, host, connect });
  if (errors.length) throw new Error(`the console has errors: ${errors}`);
} catch (error) {
  console.error(await browser?.pages().at(-1)?.content());
  throw error;
} finally {
  await browser?.close();
  page.end();
  await server.end();
  rmSync(profile, { recursive: true, force: true });
}
