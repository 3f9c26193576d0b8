// What stands above the composer: what is wrong, each with the way out, and what the server asks: approvals of tool calls, forms of
// helpers, questions of the model. Nobody agrees by accident: for half a second nothing works, and the focus never lands on a button.

import { clock, html, isField, line, link, memo, safeLink, sayNow, useCell, useEffect, useMemo, useRef, useState, useTick, useView, visible, words } from "./lib.js";
import { pretty } from "./chat.js";
import { Command, focusMessage, known, send } from "./composer.js";
import { broken, dismiss, go, lostAt, nextTries, notify, panel, server, shelve, storedSession, unsaved, world } from "./world.js";

/** @typedef {{ key: string, kind: "bad" | "note", text: any, button?: string, run?: () => void, command?: string }} Trouble */

const QUIET_MS = 2000;

/** @param {string} key @param {any} text @param {Partial<Trouble>} [way] The way out. @returns {Trouble} */
const bad = (key, text, way) => ({ key, kind: "bad", text, ...way });
/** @param {string} key @param {any} text @param {Partial<Trouble>} [way] The way out. @returns {Trouble} */
const note = (key, text, way) => ({ key, kind: "note", text, ...way });
const CHOOSE = { button: "Choose a model", run: () => world.overlay.set("model") };
const NEW = { button: "New chat", run: () => go(undefined) };

/** @param {import("./world.js").Link} link @returns {[string, string]} The word of the status, and its class. */
function wordOf(link) {
  if (world.refusal.value !== undefined) return ["refused", "bad"];
  if (isLost(link) && isOffline()) return ["offline", "bad"];
  if (link.state === "live") return ["connected", "good"];
  return link.state === "catchingUp" ? ["catching up", "busy"] : [link.state, link.state === "connecting" ? "busy" : "bad"];
}

/** @param {import("./world.js").Link} link */
function isLost(link) {
  return link.state === "reconnecting" || link.state === "connecting";
}

/** A server on this machine needs no network. */
function isOffline() {
  return !navigator.onLine && !/^(localhost|127\.|\[::1\])/.test(location.hostname);
}

/** The one visible status of the connection. */
export function Status() {
  const link = useCell(world.link);
  useCell(world.refusal);
  const [word, kind] = wordOf(link);
  return html`<div role="status" aria-label="Connection" class=${`link ${kind}`}><span class="dot" aria-hidden="true"></span><span>${word}</span></div>`;
}

/** @type {Record<string, string>} */
const REFUSALS = {
  used: "This address was used before. A ticket is good once.",
  expired: "This address or session is too old.",
  revoked: "The session of this browser was revoked.",
  unknown: "The server does not know this session.",
  missing: "This browser has no session.",
  away: "The server does not answer.",
};

/** @param {any} link @returns {Trouble[]} */
function ofLink(link) {
  const refusal = world.refusal.value ?? (link.state === "refused" ? link : undefined);
  if (refusal !== undefined) {
    return [bad("refused", `${REFUSALS[refusal.reason ?? ""] ?? line(refusal.message ?? "The server refused the connection.", 400)} Run skein open for a new address.`, { command: "skein open", button: refusal.reason === "away" || storedSession() ? "Try again" : undefined, run: again })];
  }
  if (world.pairing.value) return [note("pairing", "Answer at the terminal of skein pair.")];
  if (link.state === "closed") return [bad("closed", "The connection is closed.", { button: "Load the page again", run: () => location.reload() })];
  const past = Date.now() - link.since;
  if (!isLost(link) || past < QUIET_MS) return [];
  const gone = past > 15_000;
  const why = isOffline() ? "This device is offline" : gone ? "The server is gone" : "The connection is lost";
  return [bad("lost", `${why} since ${clock(link.since)}.${nextTry(link.nextTry)}${gone ? " What you see stays, and your messages wait. If the server was stopped, run skein open." : ""}`, { button: "Try now", run: again, command: gone ? "skein open" : undefined })];
}

/** @param {number | undefined} at Unix milliseconds. */
function nextTry(at) {
  return at === undefined ? "" : ` Next try in ${Math.max(0, Math.ceil((at - Date.now()) / 1000))} s.`;
}

/** Tries at once, with the session that is stored now: another tab may have a new one. */
export function again() {
  if (world.refusal.value !== undefined) return location.reload();
  server().retry(storedSession());
}

/** @param {number} at @returns {Trouble} */
function ofDisk(at) {
  const text = `The server's disk is full or fails: answers are not saved since ${clock(at)} and are lost when the server ends. Make space, then send the message again.`;
  return bad("disk", text, { command: "skein doctor", button: "Send again", run: () => void send() });
}

/** @param {any} view @param {string | undefined} thread @returns {Trouble[]} */
function ofThread(view, thread) {
  /** @type {Trouble[]} */
  const found = [];
  const last = view.turns.at(-1);
  if (view.deleted) found.push(bad("deleted", "This thread was deleted in another window. What you see is the rest.", NEW));
  else if (view.error) found.push(bad("error", errorText(view.error), NEW));
  if (view.archived && !view.deleted) found.push(note("archived", "This thread is archived.", { button: "Unarchive", run: () => void shelve(String(thread), true) }));
  if (view.gaps && view.link.state === "live") found.push(note("gaps", `Events since ${clock(lostAt || view.link.since)} could not be repeated. The conversation was read again.`));
  if (view.retrying) found.push(note("retrying", `The provider does not answer; the server tries again at ${clock(nextTries.get(view.id) ?? 0)}: ${line(view.retrying.message, 300)}`));
  else if (last?.status === "failed") found.push(...ofTurn(last, view.modelProvider));
  return found;
}

/** @param {{ name: string, at: number, error: string }} one @returns {Trouble} */
function ofHelper({ name, at, error }) {
  const text = `The helper ${line(name, 60)} does not start since ${clock(at)}: ${line(error, 70)}`;
  return note(`helper ${name}`, text, { button: "Show helpers", run: () => panel({ right: true }) });
}

/** @param {any} view @returns {Trouble[]} A provider without its key, before the first turn fails. */
function ofProvider(view) {
  const list = known.value;
  const id = view?.modelProvider ?? (view?.id === undefined ? world.choice.value.modelProvider ?? list?.standard : undefined);
  if (!list?.ready.length || id === undefined || view?.turns.length > 0 || list.ready.some((one) => one.id === id)) return [];
  return [note("provider", `The provider ${line(id, 60)} is not ready: its key is missing, or it does not run.`, CHOOSE)];
}

/** @param {any} error */
function errorText(error) {
  if (error.reason === "threadNotFound") return "There is no such thread. It was deleted, or the address is wrong.";
  return line(`${error.message} ${error.todo ?? ""}`, 600);
}

/** @param {any} turn @param {any} provider @returns {Trouble[]} The way out of a failed turn; the turn itself shows the error. */
function ofTurn(turn, provider) {
  const said = `${turn.error?.message ?? ""} ${turn.error?.additionalDetails ?? ""}`;
  const info = turn.error?.codexErrorInfo;
  if (info === "unauthorized" || /\bkey\b|api_key|_KEY\b|unauthorized/i.test(said)) return [bad("key", "The model has no valid key. Set its variable and start the server again, or choose another model.", { command: "skein stop; skein open", ...CHOOSE })];
  if (info === "modelNotFound") return [bad("model", "The provider does not have this model.", CHOOSE)];
  const away = typeof info === "object" && info !== null;
  if (away || info === "serverOverloaded" || info === "rateLimitExceeded") return [bad("provider", `The provider ${line(provider, 60)} does not answer since ${clock(turn.completedAt * 1000)}. Try again later, or choose another model.`, CHOOSE)];
  return [];
}

/** @param {import("./world.js").Notice} one @returns {Trouble} */
function ofNotice(one) {
  return (one.kind === "error" ? bad : note)(one.text, line(one.text, 1000), { button: "Close", run: () => dismiss(one) });
}

/** @param {{ one: Trouble }} props */
function Banner({ one: { key, kind, text, command, button, run } }) {
  const isBad = kind === "bad";
  return html`<div class=${`banner ${kind}`}><p dir="auto" role=${isBad ? "alert" : "status"} aria-label=${isBad ? undefined : "Note"}>${key === "lost" ? html`<span aria-live="off">${text}</span>` : text}</p>
    ${command && html`<${Command} command=${command} />`}
    ${button && html`<button onClick=${run}>${button}</button>`}</div>`;
}

/** @param {{ chat: any }} props Everything that is wrong now. */
export function Troubles({ chat }) {
  const link = useCell(world.link);
  useCell(world.pairing);
  useCell(world.refusal);
  useTick(1000, link.state !== "live");
  const view = useView(chat);
  const thread = useCell(world.route);
  const notices = useCell(world.notices);
  useCell(known);
  const full = useCell(unsaved);
  const helpers = useCell(broken).filter((one) => one.thread === thread || one.thread === null);
  const all = [...ofLink(link), ...(full ? [ofDisk(full)] : []), ...(view === undefined ? [] : ofThread(view, thread)), ...helpers.map(ofHelper), ...ofProvider(view), ...notices.map(ofNotice)];
  return html`<div class="troubles">${all.map((one) => html`<${Banner} key=${one.key} one=${one} />`)}</div>`;
}

const GUARD_MS = 500;
let since = 0;
/** The time of the last key in a text field, by which the page knows that the user is typing. */
let typed = 0;
addEventListener("keydown", (event) => isField(event.target) && (typed = performance.now()), true);
/** A window that comes to the front guards again: the click that raised it answers nothing. */
addEventListener("focus", () => (since = performance.now()));
document.addEventListener("visibilitychange", () => (since = performance.now()));

/** Whether the question has been in sight long enough to be answered. */
function ready() {
  return performance.now() - since >= GUARD_MS && document.visibilityState === "visible";
}

/** Whether the focus has to stay where it is. */
function typing() {
  const field = /** @type {any} */ (document.activeElement);
  return isField(field) && (field.value !== "" || performance.now() - typed < 2000);
}

/** @param {any} question @returns {any} The tool call that waits for approval, or `undefined`. */
function callOf(question) {
  const meta = question.params?._meta;
  return question.method === "mcpServer/elicitation/request" && meta?.codex_approval_kind === "mcp_tool_call" ? meta : undefined;
}

/** @param {any} question @returns {any} The limit that has no room left, or `undefined`. Only Skein itself has this name with this member. */
function budgetOf(question) {
  return question.params?.serverName === "skein" ? question.params._meta?.skein?.budget : undefined;
}

/** @param {any} question */
function titleOf(question) {
  const call = callOf(question);
  if (call !== undefined) return `Approval: ${line(call.tool_name, 80)}`;
  const budget = budgetOf(question);
  if (budget !== undefined) return `Budget of the ${budget.scope}`;
  return `Question: ${line(question.params?.serverName ?? "the assistant", 80)}`;
}

/** @param {{ chat: any }} props The oldest open question. */
export function Questions({ chat }) {
  const view = useView(chat);
  const open = view.questions.filter((/** @type {any} */ one) => one.method !== "item/tool/call");
  const first = open[0];
  if (first === undefined) return null;
  return html`<${Question} key=${String(first.id)} chat=${chat} question=${first} more=${open.length - 1} />`;
}

const Question = memo(({ chat, question, more }) => {
  const box = useRef(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const [armed, setArmed] = useState(false);
  const title = titleOf(question);
  useEffect(() => {
    since = performance.now();
    const before = document.activeElement;
    if (!typing()) box.current.focus({ preventScroll: false });
    sayNow(`${title}. ${line(question.params?.message ?? "", 300)}`);
    const timer = setInterval(() => setArmed(ready()), 100);
    return () => {
      clearInterval(timer);
      const inside = box.current === null || box.current.contains(document.activeElement) || document.activeElement === document.body;
      if (inside) setTimeout(() => backTo(before));
    };
  }, []);
  const answer = async (/** @type {any} */ value) => {
    if (!ready() || busy) return;
    setBusy(true);
    try {
      await chat.answer(question.id, value);
    } catch (error) {
      notify({ kind: "error", text: `The answer did not arrive: ${words(error)}` });
    }
    setBusy(false);
  };
  const part = partOf(question);
  return html`<section class="question" role="dialog" aria-label=${title} tabindex="-1" ref=${box} aria-busy=${busy ? "true" : undefined}>
    <h2>${title}${more > 0 && html`<span class="count">${more} more</span>`}</h2>
    <${part} question=${question} answer=${answer} no=${() => answer({ action: "decline" })} armed=${armed && !busy} />
  </section>`;
});

/** @param {any} before */
function backTo(before) {
  if (document.querySelector("[role=dialog]") !== null) return;
  if (before?.isConnected && before !== document.body) before.focus();
  else focusMessage();
}

/** @typedef {{ question: any, answer: (value: any) => void, no: () => void, armed: boolean }} Part */

/** @param {any} question */
function partOf(question) {
  if (callOf(question) !== undefined) return Approval;
  if (budgetOf(question) !== undefined) return Budget;
  if (question.method === "item/tool/requestUserInput") return Choices;
  if (question.params?.mode === "url") return Visit;
  const known = question.method === "mcpServer/elicitation/request" && /form$/i.test(question.params?.mode ?? "");
  return known ? Form : Unknown;
}

/** @typedef {[name: string, press: () => void, kind?: string, letter?: string]} Choice A button; Alt and the letter press it, too. */

/** @param {{ armed: boolean, all: (Choice | false)[] }} props The buttons below a question. */
function Buttons({ armed, all }) {
  const shown = all.filter((one) => one !== false);
  const latest = useRef(shown);
  latest.current = shown;
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (!event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
      const found = latest.current.find(([, , , letter]) => `Key${letter}` === event.code);
      if (found === undefined) return;
      event.preventDefault();
      if (ready()) found[1]();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return html`<div class="choices">${shown.map(([name, press, kind, letter]) => {
    const keys = letter && `Alt+${letter}`;
    return html`<button type="button" class=${kind} aria-disabled=${String(!armed)} aria-keyshortcuts=${keys} title=${keys}
      onClick=${() => armed && press()}>${name}</button>`;
  })}</div>`;
}

/** @param {Part} props */
function Approval({ question, answer, no, armed }) {
  const call = callOf(question);
  const lasts = [call.persist ?? []].flat().includes("session");
  const yes = () => answer({ action: "accept" });
  const always = () => answer({ action: "accept", _meta: { persist: "session" } });
  const given = pretty(call.tool_params ?? {});
  return html`<p dir="auto">${visible(question.params.message)}</p>
    <dl class="call"><dt>Helper</dt><dd>${line(question.params.serverName, 120)}</dd><dt>Tool</dt><dd><code>${visible(call.tool_name)}</code></dd></dl>
    <pre class="output arguments" tabindex="0" aria-label="Arguments" dir="ltr">${given}</pre>
    ${call.tool_description && html`<details><summary>What the helper says about this tool</summary><p dir="auto">${visible(call.tool_description)}</p></details>`}
    <${Buttons} armed=${armed} all=${[["Approve once", yes, "agree", "Y"], lasts && ["Approve for this session", always, "", "S"], ["Deny", no, "deny", "N"]]} />
    <p class="hint keys-hint">Alt+Y once · ${lasts ? "Alt+S for this session · " : ""}Alt+N no</p>`;
}

/** @param {Part} props */
function Budget({ question, answer, no, armed }) {
  const yes = () => answer({ action: "accept" });
  return html`<p dir="auto">${visible(question.params.message)}</p>
    <p class="hint">The model is not asked until you answer. What the turn has done so far stays.</p>
    <${Buttons} armed=${armed} all=${[[`Allow ${budgetOf(question).more} more`, yes, "agree", "Y"], ["Stop the turn", no, "deny", "N"]]} />`;
}

/** @param {Part} props */
function Form({ question, answer, no, armed }) {
  const schema = question.params.requestedSchema ?? {};
  const [values, setValues] = useState(() => initialOf(schema));
  const [wrong, setWrong] = useState(/** @type {Record<string, string>} */ ({}));
  const yes = () => {
    const { content, errors } = contentOf(schema, values);
    setWrong(errors);
    if (Object.keys(errors).length === 0) answer({ action: "accept", content });
  };
  return html`<p dir="auto">${visible(question.params.message)}</p>
    <p class="hint">The helper ${line(question.params.serverName, 80)} asks, not Skein. Give it no password.</p>
    <form onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), armed && yes())}>
      <${Fields} schema=${schema} values=${values} wrong=${wrong} set=${setValues} />
    </form>
    <${Buttons} armed=${armed} all=${[["Send answer", yes, "agree", "Y"], ["Decline", no, "deny", "N"], ["Cancel the call", () => answer({ action: "cancel" })]]} />`;
}

/** @param {Part} props */
function Visit({ question, answer, no, armed }) {
  const safe = safeLink(question.params.url);
  const yes = () => answer({ action: "accept" });
  return html`<p dir="auto">${visible(question.params.message)}</p>
    <p>The helper ${line(question.params.serverName, 80)} asks you to visit: ${safe ? link(safe, html`<code>${visible(safe)}</code>`) : html`<code>${visible(question.params.url)}</code>`}</p>
    <${Buttons} armed=${armed} all=${[safe !== undefined && ["I have visited it", yes, "agree"], ["Decline", no, "deny", "N"]]} />`;
}

/** @param {Part} props Questions of the model. */
function Choices({ question, answer, armed }) {
  const asked = useMemo(() => question.params.questions ?? [], [question]);
  const [values, setValues] = useState(/** @type {Record<string, string>} */ ({}));
  const set = (/** @type {string} */ id, /** @type {string} */ value) => setValues({ ...values, [id]: value });
  const yes = () => answer({ answers: Object.fromEntries(asked.map((/** @type {any} */ one) => [one.id, { answers: values[one.id] ? [values[one.id]] : [] }])) });
  return html`<form onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), armed && yes())}>${asked.map((/** @type {any} */ one) => html`<fieldset key=${one.id}>
      <legend dir="auto">${visible(one.question)}</legend>
      ${(one.options ?? []).map((/** @type {any} */ option) => html`<label class="option"><input type="radio" name=${one.id} checked=${values[one.id] === option.label} onChange=${() => set(one.id, option.label)} />
        <span dir="auto"><b>${visible(option.label)}</b> ${visible(option.description ?? "")}</span></label>`)}
      ${(one.isOther || !one.options?.length) && html`<input type=${one.isSecret ? "password" : "text"} autocomplete="off" dir="auto" aria-label=${one.options?.length ? "Another answer" : visible(one.question)} placeholder=${one.options?.length ? "Another answer" : ""}
        onInput=${(/** @type {any} */ event) => set(one.id, event.target.value)} />`}
    </fieldset>`)}</form>
    <${Buttons} armed=${armed} all=${[["Send answer", yes, "agree", "Y"]]} />`;
}

/** @param {Part} props */
function Unknown({ question, no, armed }) {
  return html`<p>This page cannot show this kind of question (${line(question.params?.mode ?? question.method, 60)}).</p><pre class="output" tabindex="0">${pretty(question.params)}</pre>
    <${Buttons} armed=${armed} all=${[["Decline", no, "deny", "N"]]} />`;
}

/** @typedef {Record<string, any>} Values */

/** @param {any} schema @returns {[string, any][]} */
function fieldsOf(schema) {
  return Object.entries(schema?.properties ?? {}).slice(0, 100);
}

/** @param {any} field @returns {{ value: string, title: string }[] | undefined} */
function optionsOf(field) {
  const from = field.type === "array" ? field.items ?? {} : field;
  const titled = from.oneOf ?? from.anyOf;
  if (Array.isArray(titled)) return titled.map((one) => ({ value: String(one.const), title: visible(one.title ?? one.const) }));
  if (!Array.isArray(from.enum)) return undefined;
  return from.enum.map((/** @type {any} */ value, /** @type {number} */ at) => ({ value: String(value), title: visible(from.enumNames?.[at] ?? value) }));
}

/**
 * The values that the schema begins with.
 * @param {any} schema
 * @returns {Values}
 */
function initialOf(schema) {
  return Object.fromEntries(fieldsOf(schema).map(([name, field]) => [name, field.default ?? (field.type === "array" ? [] : field.type === "boolean" ? false : "")]));
}

const FORMATS = /** @type {Record<string, string>} */ ({ email: "email", uri: "url", date: "date", "date-time": "datetime-local" });

/** @param {number} count @param {number | undefined} least @param {number | undefined} most @param {string} [what] */
function outside(count, least, most, what = "") {
  if (least != null && count < least) return `At least ${least}${what}.`;
  return most != null && count > most ? `At most ${most}${what}.` : undefined;
}

/** @param {any} field @param {any} value @param {boolean} must @returns {string | undefined} */
function faultOf(field, value, must) {
  const empty = value === "" || (Array.isArray(value) && value.length === 0);
  if (empty) return must ? "An answer is needed." : undefined;
  if (field.type === "number" || field.type === "integer") {
    const number = Number(value);
    if (!Number.isFinite(number) || (field.type === "integer" && !Number.isInteger(number))) return `Write ${field.type === "integer" ? "a whole number" : "a number"}.`;
    return outside(number, field.minimum, field.maximum);
  }
  if (Array.isArray(value)) return outside(value.length, field.minItems, field.maxItems, " choices");
  if (typeof value !== "string" || field.type !== "string") return undefined;
  if (field.format === "uri" && !URL.canParse(value)) return "Write an address such as https://example.org.";
  return outside([...value].length, field.minLength, field.maxLength, " characters");
}

/** @param {any} field @param {any} value */
function sentAs(field, value) {
  if (field.type === "number" || field.type === "integer") return Number(value);
  return field.format === "date-time" && !Number.isNaN(Date.parse(value)) ? new Date(value).toISOString() : value;
}

/**
 * The answer to the form, and what is wrong with it, by field.
 * @param {any} schema
 * @param {Values} values
 */
function contentOf(schema, values) {
  /** @type {Record<string, string>} */
  const errors = {};
  /** @type {Values} */
  const content = {};
  for (const [name, field] of fieldsOf(schema)) {
    const must = (schema.required ?? []).includes(name);
    const value = values[name];
    const fault = faultOf(field, value, must);
    if (fault !== undefined) errors[name] = fault;
    else if (value !== "" && (must || !Array.isArray(value) || value.length > 0)) content[name] = sentAs(field, value);
  }
  return { content, errors };
}

/** @param {any} field @param {any} value @param {(value: any) => void} put @param {any} rest */
function control(field, value, put, rest) {
  const options = optionsOf(field);
  if (field.type === "boolean") return html`<input type="checkbox" ...${rest} checked=${value === true} onChange=${(/** @type {any} */ event) => put(event.target.checked)} />`;
  if (field.type === "array") {
    return html`<span role="group" ...${rest}>${(options ?? []).map((one) => html`<label class="option"><input type="checkbox" checked=${value.includes(one.value)}
      onChange=${(/** @type {any} */ event) => put(event.target.checked ? [...value, one.value] : value.filter((/** @type {string} */ other) => other !== one.value))} /> <span dir="auto">${one.title}</span></label>`)}</span>`;
  }
  if (options !== undefined) {
    return html`<select ...${rest} onChange=${(/** @type {any} */ event) => put(event.target.value)}><option value="" selected=${value === ""}>Choose…</option>
      ${options.map((one) => html`<option value=${one.value} selected=${value === one.value}>${one.title}</option>`)}</select>`;
  }
  const number = field.type === "number" || field.type === "integer";
  return html`<input type=${number ? "text" : FORMATS[field.format] ?? "text"} inputmode=${number ? "decimal" : undefined} ...${rest} dir="auto" value=${value} maxlength=${field.maxLength ?? 100000}
    autocomplete="off" onInput=${(/** @type {any} */ event) => put(event.target.value)} />`;
}

/** @param {{ schema: any, values: Values, wrong: Record<string, string>, set: (values: Values) => void }} props */
function Fields({ schema, values, wrong, set }) {
  return fieldsOf(schema).map(([name, field], at) => {
    const id = `field-${at}`;
    const must = (schema.required ?? []).includes(name);
    const fault = wrong[name];
    const rest = { id, "aria-required": String(must), "aria-invalid": fault ? "true" : undefined, "aria-describedby": `${id}-said`, "aria-labelledby": `${id}-name` };
    return html`<div class=${`field ${field.type}`}><label id=${`${id}-name`} for=${field.type === "array" ? undefined : id} dir="auto">${visible(field.title ?? name)}${must && html` <span class="must">(needed)</span>`}</label>
      ${control(field, values[name], (value) => set({ ...values, [name]: value }), rest)}
      <p id=${`${id}-said`} class=${fault ? "fault" : "hint"} role=${fault ? "alert" : undefined} dir="auto">${fault ?? visible(field.description ?? "")}</p></div>`;
  });
}
