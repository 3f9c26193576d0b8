// What skein-client keeps, in a real browser: the view in IndexedDB over a reload, a link that carries nothing, and the
// unsent messages of a tab that is closed.

import { connect as dial, createServer } from "node:net";
import { within } from "./server.mjs";

/** Of the server, in seconds. */
export const HEARTBEAT = 0.4;

/** A page that keeps its chat where its address says. */
export const PAGE = `<!doctype html><meta charset="utf-8"><title>Kept</title><script type="module">
  const wish = new URLSearchParams(location.search);
  if (wish.has("lease")) Object.defineProperty(navigator, "locks", { value: undefined });
  const { connect, indexedDb, webStorage } = await import("./skein-client.js");
  const storage = wish.has("lease") ? webStorage(localStorage) : indexedDb("kept");
  window.shown = [];
  window.skein = connect({ url: "ws://" + wish.get("server"), token: localStorage.session, storage });
  skein.watchLink(({ state }) => shown.push(state));
  window.chat = skein.thread(wish.get("thread"));
</script>`;

/** Passes bytes between a page and the server, until it swallows them or cuts. */
class Proxy {
  links = new Set();
  open = true;
  constructor(port) {
    this.server = createServer((client) => {
      if (!this.open) return client.destroy();
      const link = { client, server: dial(port, "127.0.0.1"), carries: true };
      this.links.add(link);
      for (const [from, to] of [[client, link.server], [link.server, client]]) {
        from.on("data", (data) => link.carries && to.write(data));
        from.on("error", () => {});
        from.on("close", () => {
          // An end is swallowed, too.
          if (link.carries) to.destroy();
        });
      }
    });
  }
  async start() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${this.server.address().port}`;
  }
  /** The links of now carry nothing more, in both directions, and stay open. */
  swallow() {
    for (const link of this.links) link.carries = false;
  }
  cut() {
    this.open = false;
    this.drop();
  }
  drop() {
    for (const { client, server } of this.links) for (const socket of [client, server]) socket.destroy();
    this.links.clear();
  }
  end() {
    this.drop();
    this.server.close();
  }
}

const turns = (view) => view.turns.map(({ id, items }) => [id, items.map((item) => item.text ?? item.content?.[0].text)]);
const same = (found, wanted, what) => {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
};
/** Waits until a program's own client has seen the end of the turn of a message. */
const say = async (chat, text) => {
  const id = await chat.send(text);
  await within(`the turn of ${text}`, new Promise((resolve) => {
    const stop = chat.watch((view) => {
      if (!view.turns.some((turn) => turn.id === id && turn.status === "completed")) return;
      queueMicrotask(() => stop());
      resolve();
    });
  }));
};

/** The tab's requests since it was opened: those of the websocket it uses. */
const recorded = (tab) => {
  const sent = [];
  tab.on("websocket", (socket) => socket.on("framesent", ({ payload }) => sent.push(JSON.parse(payload))));
  return sent;
};
const open = async (browser, address) => {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(40_000);
  const sent = recorded(tab);
  await tab.goto(address);
  await tab.waitForFunction(() => window.chat !== undefined);
  return { tab, sent };
};
const shows = (tab, text) => tab.waitForFunction((text) => JSON.stringify(chat.view.turns).includes(text) && chat.view.status.type === "idle", text);
const viewOf = (tab) => tab.evaluate(() => JSON.parse(JSON.stringify(chat.view)));

/** The number that IndexedDB has with the view. */
const keptAt = (id) =>
  new Promise((resolve) => {
    const request = indexedDB.open("kept");
    request.onsuccess = () => {
      const get = request.result.transaction("kept").objectStore("kept").get(`thread.${id}`);
      get.onsuccess = () => {
        request.result.close();
        resolve(get.result?.state.at.seq === chat.view.at?.seq);
      };
    };
  });

async function reload({ browser, address, other, thread }) {
  const { tab, sent } = await open(browser, address);
  await shows(tab, "before");
  const kept = async () => {
    while (!(await tab.evaluate(keptAt, thread)));
  };
  await within("the number in IndexedDB", kept());
  const { at } = await viewOf(tab);
  await tab.goto("about:blank");
  await say(other, "while away");
  sent.length = 0;
  await tab.goto(address);
  await shows(tab, "while away");
  same(turns(await viewOf(tab)), turns(other.view), "the view");
  const asked = sent.filter(({ method }) => method?.startsWith("thread/")).map(({ method, params }) => [method, params.skein]);
  same(asked, [["thread/resume", { afterSeq: at.seq, epoch: at.epoch }]], "requests after the reload");
  same((await viewOf(tab)).gaps, false, "a gap");
  await tab.close();
}

async function halfOpen({ browser, address, proxy, other }) {
  const { tab } = await open(browser, address);
  await shows(tab, "while away");
  await tab.waitForFunction(() => skein.link.state === "live");
  const before = await tab.evaluate(() => shown.length);
  const began = Date.now();
  proxy.swallow();
  await say(other, "into silence");
  await tab.waitForFunction((before) => shown.length > before, before);
  const seconds = (Date.now() - began) / 1000;
  same((await tab.evaluate((before) => shown.slice(before), before))[0], "reconnecting", "the link");
  // The watchdog waits for three heartbeats; the last one came at most one before the silence.
  if (seconds < 2 * HEARTBEAT) throw new Error(`the link was left after ${seconds} s, too soon for the watchdog`);
  await shows(tab, "into silence");
  await tab.waitForFunction(() => skein.link.state === "live");
  same(turns(await viewOf(tab)), turns(other.view), "the view");
  await tab.close();
  return `noticed after ${seconds.toFixed(1)} s`;
}

/** A tab without a link is closed. The other one, which is open already, sends its message. */
async function closedTab({ browser, address, direct, proxy, other }, text) {
  const { tab: lives } = await open(browser, direct);
  const { tab: closes } = await open(browser, address);
  for (const tab of [lives, closes]) await tab.waitForFunction(() => skein.link.state === "live");
  proxy.cut();
  await closes.evaluate((text) => void chat.send(text), text);
  await closes.waitForFunction(() => skein.link.state === "reconnecting");
  same([(await viewOf(lives)).unsent.length, (await viewOf(closes)).unsent.length], [0, 1], "unsent messages");
  await closes.close();
  await shows(lives, text);
  same((await viewOf(lives)).unsent, [], "unsent messages");
  await within("the same in the other program", new Promise((resolve) => other.watch((view) => JSON.stringify(view.turns).includes(text) && view.status.type === "idle" && resolve())));
  const messages = other.view.turns.flatMap((turn) => turn.items).filter((item) => item.type === "userMessage" && item.content[0].text === text);
  same(messages.length, 1, "messages");
  const left = await lives.evaluate(() => Object.keys(localStorage).filter((key) => /unsent|lease/.test(key)));
  same(left, [], "what is left in the storage");
  await lives.close();
  proxy.open = true;
}

/** Plays the cases. `other` is a client in this program, which is never cut. */
export async function keptCases({ browser, origin, host, connect }) {
  const skein = connect({ url: `ws://${host}` });
  const proxy = new Proxy(Number(host.split(":")[1]));
  try {
    const other = skein.thread();
    await say(other, "before");
    const through = await proxy.start();
    const page = (server) => `${origin}/kept.html?thread=${other.id}&server=${server}`;
    const world = { browser, proxy, other, thread: other.id, address: page(through), direct: page(host) };
    await reload(world);
    console.log("IndexedDB  ok, a reload goes on from its number");
    console.log(`half-open  ok, ${await halfOpen(world)}`);
    await closedTab(world, "of a closed tab");
    console.log("two tabs   ok, with locks");
    const lease = { ...world, address: `${world.address}&lease`, direct: `${world.direct}&lease` };
    await closedTab(lease, "of another closed tab");
    console.log("two tabs   ok, with leases");
  } finally {
    skein.close();
    proxy.end();
  }
}
