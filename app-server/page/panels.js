// What opens on demand: the details on the right, the choice of a model, the list of keys.

import { Cell, clock, html, icon, lasting, line, quoted, size, useCell, useEffect, useRef, useState, useView, visible, words } from "./lib.js";
import { atHome, choose, events, mayNotify, panel, server, signOut, storedSession, world } from "./world.js";
import { Command, known, learnProviders, pick, useModel } from "./composer.js";

const EVERY_MS = 1000;
const POINTS = 60;

/** @typedef {{ at: number, loaded: number, alive: number, bytes: number }} Point */

/** @typedef {{ helpers: readonly any[], status: any, points: readonly Point[], error?: string }} Figures */
const figures = new Cell(/** @type {Figures} */ ({ helpers: [], status: undefined, points: [] }));

async function look() {
  if (world.link.value.state !== "live" || document.visibilityState !== "visible") return;
  try {
    const [status, helpers] = await Promise.all([server().call("skein/status", {}), server().call("skein/helpers/list", {})]);
    const bytes = helpers.data.reduce((sum, one) => sum + one.memoryBytes, 0);
    const point = { at: Date.now(), loaded: status.threads.loaded, alive: status.helpers.alive, bytes };
    figures.set({ helpers: helpers.data, status, points: [...figures.value.points, point].slice(-POINTS) });
  } catch (error) {
    figures.set({ ...figures.value, error: words(error) });
  }
}

/** @param {{ points: readonly Point[], of: "loaded" | "alive" | "bytes", name: string, say: (value: number) => string }} props */
function Plot({ points, of, name, say }) {
  const most = Math.max(1, ...points.map((point) => point[of]));
  const now = points[points.length - 1]?.[of] ?? 0;
  const at = points.map((point, index) => `${((index + POINTS - points.length) / (POINTS - 1)) * 100},${29 - (point[of] / most) * 26}`);
  return html`<figure class="plot"><figcaption><span>${name}</span><b>${say(now)}</b></figcaption>
    <svg viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label=${`${name} over the last minute: now ${say(now)}, at most ${say(most)}`}>
      ${at.length > 1 && html`<polygon points=${`${at[0]?.split(",")[0]},33 ${at.join(" ")} 103,33`} />`}</svg></figure>`;
}

/** @param {{ processes: readonly any[], parent: number, depth?: number }} props The processes below one. */
function Processes({ processes, parent, depth = 0 }) {
  const below = processes.filter((one) => one.parent === parent && one.pid !== parent);
  if (below.length === 0 || depth > 8) return null;
  return html`<ul>${below.map((one) => html`<li key=${one.pid}><span class="process"><code>${line(one.name, 40)}</code> <span>${one.pid}</span> <b>${size(one.memoryBytes)}</b></span>
    <${Processes} processes=${processes} parent=${one.pid} depth=${depth + 1} /></li>`)}</ul>`;
}

/** @param {{ helper: any }} props */
function Helper({ helper }) {
  const pids = new Set(helper.processes.map((/** @type {any} */ one) => one.pid));
  const roots = [...new Set(helper.processes.filter((/** @type {any} */ one) => !pids.has(one.parent)).map((/** @type {any} */ one) => one.parent))];
  const bad = helper.state === "broken" || helper.state === "unresponsive";
  return html`<li class="helper"><details open=${bad}><summary><span class=${`dot ${helper.state}`} aria-hidden="true"></span><b>${line(helper.name, 40)}</b>
      <span class="from">${helper.state}${helper.queued + helper.waiting > 0 ? `, ${helper.queued + helper.waiting} waiting` : ""}</span><span class="fate">${size(helper.memoryBytes)}</span></summary>
    ${helper.reason && html`<p class="fault" dir="auto">${line(helper.reason, 400)}</p>`}
    ${roots.map((parent) => html`<${Processes} key=${parent} processes=${helper.processes} parent=${parent} />`)}
    ${helper.stderr && html`<p class="hint">Last words</p><pre class="output" tabindex="0" dir="auto">${visible(helper.stderr).slice(-2000)}</pre>`}
  </details></li>`;
}

/** @param {{ name: string, value: string, set: (value: string) => void }} props */
function Field({ name, value, set }) {
  return html`<label class="field">${name} <input value=${value} onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label>`;
}

/** The line that adds known tools, or those of any program. */
function AddTools() {
  const [kind, setKind] = useState("files");
  const [name, setName] = useState("tools");
  const [rest, setRest] = useState("");
  const own = kind === "own";
  const of = own ? name.replace(/[^\w-]/g, "") : `--preset ${kind}`;
  const takes = own ? "Its command" : kind === "files" ? "Folder" : kind === "git" ? "Repository" : undefined;
  const end = takes && rest.trim() ? ` -- ${own ? line(rest, 400) : quoted(rest)}` : own ? " -- COMMAND" : "";
  return html`<details><summary>Add tools</summary>
    <div class="models">${["files", "git", "fetch", "memory", "own"].map((one) => html`<button key=${one} aria-pressed=${String(one === kind)} onClick=${() => (setKind(one), setRest(""))}>${one}</button>`)}</div>
    ${own && html`<${Field} name="Name" value=${name} set=${setName} />`}${takes && html`<${Field} name=${takes} value=${rest} set=${setRest} />`}
    <p>Run this in a terminal, and the tools appear below:</p><${Command} command=${`skein mcp add ${of}${useCell(atHome)}${end}`} /></details>`;
}

/** @param {{ thread: string | undefined, helpers: readonly any[] }} props The tools of the open thread, and how to add some. */
function Tools({ thread, helpers }) {
  const [servers, setServers] = useState(/** @type {readonly any[]} */ ([]));
  const [tried, setTried] = useState(0);
  const link = useCell(world.link);
  const states = helpers.map((one) => `${one.name}${one.state}`).join();
  useEffect(() => {
    if (link.state !== "live" || (thread ?? tried) === 0) return setServers([]);
    let here = true;
    server().call("mcpServerStatus/list", { threadId: thread, detail: "toolsAndAuthOnly" }).then(({ data }) => here && setServers(data), () => {});
    return () => void (here = false);
  }, [thread, link.state, states, tried]);
  return html`<section><h3>Tools</h3><${AddTools} />
    ${servers.map((one) => html`<p key=${one.name} class="tools-of"><b>${line(one.name, 40)}</b> ${one.toolsError ? html`<span class="fault">${visible(one.toolsError).slice(-800)}</span>` : Object.keys(one.tools).map((name) => html`<code key=${name}>${line(name, 60)}</code> `)}</p>`)}
    ${servers.length === 0 && html`<p class="hint">This chat has no tools yet.</p>`}
    ${thread === undefined && html`<button onClick=${() => setTried(tried + 1)}>Try the tools of a new chat</button>`}</section>`;
}

function Events() {
  const list = useCell(events);
  const [held, setHeld] = useState(/** @type {readonly any[] | undefined} */ (undefined));
  const rows = held ?? list;
  return html`<section class="events"><h3>Events <button class="plain" aria-pressed=${String(held !== undefined)} onClick=${() => setHeld(held === undefined ? list : undefined)}>${held === undefined ? "Hold" : "Go on"}</button></h3>
    ${rows.length === 0 && html`<p class="hint">Events appear here as they come.</p>`}
    <ol tabindex="0" aria-label="Events">${rows.map((one) => html`<li key=${one.key}><time>${clock(one.at)}</time><b>${one.seq ?? ""}</b><code>${line(one.method, 60)}</code></li>`)}</ol></section>`;
}

/** @param {{ status: any }} props */
function Server({ status }) {
  if (status === undefined) return html`<p class="hint">Reading…</p>`;
  return html`<dl class="figures">
    <div><dt>Subscribers</dt><dd>${status.threads.subscriptions}${status.threads.observers > 0 ? `, ${status.threads.observers} watch` : ""}</dd></div>
    <div><dt>Connections</dt><dd>${status.connections}</dd></div>
    <div><dt>Turns running</dt><dd>${status.turns.running}</dd></div>
    <div><dt>Turns so far</dt><dd>${status.turns.startedTotal.toLocaleString()}</dd></div>
    <div><dt>Memory of Skein</dt><dd>${size(status.memory.residentBytes)}</dd></div>
    <div><dt>Up</dt><dd>${lasting(status.uptimeMs)}</dd></div></dl>`;
}

export function Details() {
  const now = useCell(figures);
  const thread = useCell(world.route);
  useEffect(() => {
    void look();
    const timer = setInterval(look, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const mine = now.helpers.filter((one) => one.threadId === thread || one.threadIds.includes(thread));
  const rest = now.helpers.filter((one) => !mine.includes(one));
  return html`<aside class="right" aria-label="Details">
    <header><h2>Details</h2><button class="plain" aria-label="Close details" onClick=${() => panel({ right: false })}>${icon("close")}</button></header>
    ${now.error && html`<p class="fault">${line(now.error, 200)}</p>`}
    <section><h3>Server</h3><${Server} status=${now.status} />
      <${Plot} points=${now.points} of="loaded" name="Loaded threads" say=${String} />
      <${Plot} points=${now.points} of="alive" name="Living helpers" say=${String} />
      <${Plot} points=${now.points} of="bytes" name="Memory of helpers" say=${size} />
      <p class="hint">Close the other tabs and watch these fall to zero.</p></section>
    <section><h3>Helpers</h3>${now.helpers.length === 0 && html`<p class="hint">No helper runs.</p>`}
      <ul class="helpers">${mine.map((one) => html`<${Helper} key=${`${one.name}/${one.pid}`} helper=${one} />`)}</ul>
      ${rest.length > 0 && html`<h4>Of other threads</h4><ul class="helpers">${rest.map((one, at) => html`<${Helper} key=${`${one.name}/${one.pid ?? at}`} helper=${one} />`)}</ul>`}</section>
    <${Tools} thread=${thread} helpers=${now.helpers} />
    <${Events} />
  </aside>`;
}

/** @param {{ chat: any }} props */
export function ModelChoice({ chat }) {
  const list = useCell(known);
  const view = useView(chat);
  const now = useModel(chat, view);
  const [own, setOwn] = useState("");
  useEffect(() => {
    void learnProviders();
    // The server asks the providers for their models when somebody wants to know.
    const timer = setInterval(learnProviders, 2500);
    return () => clearInterval(timer);
  }, []);
  const ready = list?.ready ?? [];
  return html`<${Dialog} name="Model">
    <p>Now: <b>${line(now.model ?? "unknown", 80)}</b>${now.modelProvider && now.modelProvider !== now.model && ` of ${line(now.modelProvider, 60)}`}. Your choice holds for this chat and the next ones of this browser.</p>
    ${ready.map((one) => html`<section key=${one.id} class="provider"><h3>${line(one.name, 60)} <small>${line(one.why, 60)}</small></h3>
      <div class="models">${one.models.slice(0, 30).map((model) => html`<button key=${model} aria-pressed=${String(model === now.model && one.id === now.modelProvider)} onClick=${() => pick(chat, model, one.id)}>${line(model, 60)}</button>`)}</div>
      ${one.models.length === 0 && html`<form class="own" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void pick(chat, own.trim() || undefined, one.id))}><input aria-label=${`Model of ${one.name}`} placeholder="Name of a model" onInput=${(/** @type {any} */ event) => setOwn(event.target.value)} /><button>Use</button></form>`}
    </section>`)}
    ${list !== undefined && ready.every((one) => one.id === "echo") && html`<p>No provider is ready yet. Set the variable of a key, such as <code>OPENAI_API_KEY</code>, start the server again, or start Ollama on this machine.</p>`}
    ${world.choice.value.model && html`<p><button class="plain" onClick=${() => choose({})}>Use the server's model</button></p>`}
    <p>To make the model above the default of all clients, run:</p>
    <${Command} command=${`skein call config/batchWrite '${JSON.stringify({ edits: Object.entries({ model: now.model, model_provider: now.modelProvider }).map(([keyPath, value]) => ({ keyPath, value: line(value ?? "", 80).replace(/'/g, ""), mergeStrategy: "replace" })) })}'`} />
  <//>`;
}

/** @param {{ name: string, children?: any }} props A dialog over the page. */
function Dialog({ name, children }) {
  const box = useRef(/** @type {any} */ (null));
  useEffect(() => {
    const before = /** @type {any} */ (document.activeElement);
    box.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  const close = () => world.overlay.set(undefined);
  return html`<dialog ref=${box} aria-label=${name} onClose=${close} onClick=${(/** @type {any} */ event) => event.target === box.current && close()}>
    <div class="dialog"><header><h2>${name}</h2><button class="plain" aria-label="Close" onClick=${close}>${icon("close")}</button></header>${children}</div></dialog>`;
}

/** @type {[string, string][]} */
const KEYS = [
  ["Enter", "send the message"],
  ["Shift+Enter", "a new line"],
  ["Alt+Enter", "send after the running turn"],
  ["Escape", "stop the running turn (in the message box)"],
  ["Alt+Y", "approve once, or send the form"],
  ["Alt+S", "approve for this session"],
  ["Alt+N", "deny"],
  ["Alt+C", "a new chat"],
  ["Alt+T", "show or hide the threads"],
  ["Alt+D", "show or hide the details"],
  ["/", "search the threads"],
  ["?", "this list"],
];

export function Keys() {
  const [may, setMay] = useState(mayNotify());
  const leave = async () => {
    await signOut(storedSession() ?? "");
    location.reload();
  };
  return html`<${Dialog} name="Keys">
    <dl class="keys">${KEYS.map(([key, does]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl>
    <p>${may === "granted" ? "Notifications are on." : html`<button disabled=${may !== "default"} onClick=${async () => setMay(await Notification.requestPermission())}>Notify me when a thread needs me</button>`}</p>
    <p><button class="plain" onClick=${leave}>End the session of this browser</button></p>
  <//>`;
}
