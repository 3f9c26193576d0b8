// Validates a transcript of Skein against the JSON Schema that the peer writes.
//
// usage: node peer-conformance.mjs MODULES SCHEMA TABLES TRANSCRIPT [--part]
//   MODULES     the folder `node_modules` that has ajv
//   SCHEMA      the peer's codex_app_server_protocol.schemas.json
//   TABLES      protocol/generated/openrpc.json: what Skein implements
//   TRANSCRIPT  lines {"conn":.., "dir":"c2s"|"s2c", "msg":{..}}; a line with "raw" for "msg" is not JSON, and is only counted
//   --part      the transcript has only some messages; none of them is required
//
// A message is valid if the peer's schema accepts it, and every other member is one of Skein's.
// A message that a test wrote by hand ("free":true) may have any shape; messages of Skein and its typed client may not.
// Exit code: 0 without violation and with every implemented message (with --part: any) in the transcript, 1 otherwise.

import { createReadStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, schemaPath, tablesPath, transcriptPath, part] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const Ajv = require("ajv/dist/2019");

const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const schema = read(schemaPath);
const tables = read(tablesPath);

// Skein's own members: a member of this name anywhere, and these beside `method`.
const OUR_MEMBER = "skein";
const ENVELOPE = new Set(["seq", "epoch"]);
// The peer also sends it, beside `params`, but its schema does not have it.
const PEERS_OWN = new Set(["emittedAtMs"]);
// Methods of earlier versions of the peer (`EARLIER` in protocol/src/extension.rs).
const EARLIER = new Set(["thread/rollback"]);
const isOurs = (method) => method.startsWith("skein/") || method.startsWith("rpc.") || EARLIER.has(method);

// ---- The peer's schema ----------------------------------------------------------------------------------------------

const BITS = { int32: [31, true], int64: [63, true], uint16: [16, false], uint32: [32, false], uint64: [64, false], uint: [64, false] };
const formats = { double: { type: "number", validate: () => true } };
for (const [name, [bits, signed]] of Object.entries(BITS)) {
  const limit = 2 ** bits;
  const validate = (value) => Number.isInteger(value) && value >= (signed ? -limit : 0) && value < limit;
  formats[name] = { type: "number", validate };
}

const resolve = (target) => target.slice(2).split("/").reduce((at, key) => at[key], schema);

// Whether a schema accepts members without names.
function open(part) {
  if (typeof part !== "object" || part === null) return true;
  if (part.$ref) return open(resolve(part.$ref));
  return !["type", "properties", "oneOf", "anyOf", "allOf", "enum", "const"].some((key) => key in part);
}

// The same schema, in which an object accepts only named members. The restriction is set where a type is used, not
// where it is one of several that are combined.
function closed(part) {
  if (Array.isArray(part)) return part.map((inner) => closed(inner));
  if (typeof part !== "object" || part === null) return part;
  const used = (inner) => (open(inner) ? inner : { ...closed(inner), unevaluatedProperties: false });
  const result = {};
  for (const [key, value] of Object.entries(part)) {
    if (["properties", "patternProperties"].includes(key)) {
      result[key] = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, used(inner)]));
    } else if (["items", "additionalProperties"].includes(key) && typeof value === "object") {
      result[key] = Array.isArray(value) ? value.map(used) : used(value);
    } else if (["definitions", "v2"].includes(key)) {
      result[key] = Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [name, name === "v2" ? closed({ v2: inner }).v2 : closed(inner)]),
      );
    } else {
      result[key] = ["oneOf", "anyOf", "allOf"].includes(key) ? closed(value) : value;
    }
  }
  return result;
}

const ajv = new Ajv({ strict: false, allErrors: true, formats, meta: false, validateSchema: false, logger: false });
const { $schema: _, ...definitions } = schema;
ajv.addSchema(definitions, "peer");
ajv.addSchema(closed(definitions), "closed");

const compiled = new Map();
function validator(target, strictly) {
  const key = `${strictly ? "closed" : "peer"}#/${target}`;
  const part = strictly ? { $ref: key, unevaluatedProperties: false } : { $ref: key };
  if (!compiled.has(key)) compiled.set(key, ajv.compile(part));
  return compiled.get(key);
}

// Location of each schema, by kind and method.
const UNIONS = {
  request: "ClientRequest",
  clientNotification: "ClientNotification",
  notification: "ServerNotification",
  serverRequest: "ServerRequest",
};
// Methods whose result type is named by neither rule of `resultOf`.
const RESULTS = {
  "account/rateLimits/read": "GetAccountRateLimitsResponse",
  "account/usage/read": "GetAccountTokenUsageResponse",
  "config/batchWrite": "ConfigWriteResponse",
  "config/mcpServer/reload": "McpServerRefreshResponse",
  "config/value/write": "ConfigWriteResponse",
};

const peer = {};
for (const [kind, union] of Object.entries(UNIONS)) {
  peer[kind] = new Map();
  schema.definitions[union].oneOf.forEach((branch, index) => {
    const method = branch.properties.method.enum?.[0] ?? branch.properties.method.const;
    const params = branch.properties.params?.$ref;
    peer[kind].set(method, { target: `definitions/${union}/oneOf/${index}`, params });
  });
}

function resultOf(method, params) {
  const words = method.split(/[/_]/).map((word) => word[0].toUpperCase() + word.slice(1));
  const names = [RESULTS[method], params?.split("/").at(-1).replace(/Params$/, "Response"), `${words.join("")}Response`];
  for (const name of names) {
    if (name && schema.definitions.v2[name]) return `definitions/v2/${name}`;
    if (name && schema.definitions[name]) return `definitions/${name}`;
  }
  throw new Error(`the peer's schema has no result for ${method}: name it in RESULTS`);
}

// ---- Checks -----------------------------------------------------------------------------------------------------------

let messages = 0;
let ours = 0;
let raw = 0;
let free = 0;
let refused = 0;
let sample; // An answer to thread/start.
const violations = [];
const members = new Map();
const seen = { request: new Map(), clientNotification: new Map(), notification: new Map(), serverRequest: new Map() };

const count = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
const shown = (message) => JSON.stringify(message).slice(0, 400);

// Removes the alternatives with another `type` than the message.
function meant(errors) {
  const branch = (error) => error.schemaPath.match(/^(.*?\/(?:oneOf|anyOf)\/\d+)\//)?.[1];
  const others = new Set(errors.filter((error) => error.instancePath.endsWith("/type")).map(branch));
  const left = errors.filter((error) => !branch(error) || !others.has(branch(error)));
  return left.length > 0 ? left : errors;
}

function violation(line, what, errors, message) {
  const lines = meant(errors).slice(0, 8).map((error) => `    at ${error.instancePath || "/"}: ${error.message} (${error.schemaPath})`);
  violations.push([`line ${line}, ${what}:`, ...lines, `    in ${shown(message)}`].join("\n"));
}

// Removes members that the peer's schema does not know, the innermost first; calls `found` for each.
function takeUnknown(target, value, found) {
  const check = validator(target, true);
  while (!check(value)) {
    const unknown = check.errors.filter((error) => error.keyword === "unevaluatedProperties");
    if (unknown.length === 0) return false;
    const depth = (error) => error.instancePath.split("/").length;
    const deepest = unknown.reduce((one, other) => (depth(other) > depth(one) ? other : one));
    const keys = deepest.instancePath.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const name = deepest.params.unevaluatedProperty;
    const holder = keys.reduce((at, key) => at[key], value);
    found(deepest.instancePath, name, holder[name]);
    delete holder[name];
  }
  return true;
}

// Checks `value`, a whole message or a result, at the place `target` of the peer's schema.
function check(line, what, target, value, envelope) {
  const plain = validator(target, false);
  if (!plain(value)) return violation(line, what, plain.errors, value);
  const copy = structuredClone(value);
  const settled = takeUnknown(target, copy, (path, name, taken) => {
    const beside = envelope && path === "";
    if (beside && PEERS_OWN.has(name)) return;
    // If the peer names no params, `{}` equals none.
    if (beside && name === "params" && JSON.stringify(taken) === "{}") return;
    if (name === OUR_MEMBER || (beside && ENVELOPE.has(name))) {
      return count(members, `${what}: ${path.replace(/\/\d+/g, "/*")}/${name}`);
    }
    violation(line, what, [{ instancePath: path, message: `has ${JSON.stringify(name)}, which the peer does not know`, schemaPath: target }], value);
  });
  if (!settled) violation(line, `${what}, without what is ours`, validator(target, true).errors, copy);
}

// Requests that have no answer yet, by connection, direction and id.
const pending = new Map();
const address = (entry, direction) => `${entry.conn} ${direction} ${JSON.stringify(entry.msg.id)}`;
const OTHER = { c2s: "s2c", s2c: "c2s" };

function asks(line, entry, kind) {
  pending.set(address(entry, entry.dir), { kind, method: entry.msg.method });
  if (!entry.free) checkMethod(line, kind, entry.msg);
}

function checkMethod(line, kind, message) {
  const { method } = message;
  // A client's request counts once it is answered.
  if (kind !== "request") count(seen[kind], method);
  if (isOurs(method)) return (ours += 1);
  const known = peer[kind].get(method);
  if (!known) return violation(line, `${kind} ${method}`, [{ instancePath: "/method", message: "is not one of the peer's", schemaPath: UNIONS[kind] }], message);
  check(line, `${kind} ${method}`, known.target, message, true);
}

function answers(line, entry) {
  const asker = OTHER[entry.dir];
  const key = address(entry, asker);
  const request = pending.get(key);
  // The server's request stays: a client may answer it again.
  if (asker === "c2s") pending.delete(key);
  if ("error" in entry.msg) {
    if (request && asker === "c2s") refused += 1;
    return check(line, "error", "definitions/JSONRPCError", withoutData(entry.msg), false);
  }
  // A client may answer unknown requests; Skein may not.
  if (!request) {
    if (entry.dir === "s2c") violation(line, "result", [{ instancePath: "/id", message: "answers no request", schemaPath: "JSONRPCResponse" }], entry.msg);
    return;
  }
  if (asker === "c2s") count(seen.request, request.method);
  if (isOurs(request.method)) return (ours += 1);
  if (request.method === "thread/start") sample = entry.msg.result;
  const known = peer[request.kind].get(request.method);
  if (known) check(line, `result of ${request.method}`, resultOf(request.method, known.params), entry.msg.result, false);
}

// `data` of an error may be anything. The id is null if a request was unreadable; the peer never answers such a request.
function withoutData({ id, error: { data: _data, ...error }, ...rest }) {
  return { ...rest, id: id ?? 0, error };
}

function message(line, entry) {
  const { dir, msg } = entry;
  messages += 1;
  free += entry.free ? 1 : 0;
  if (typeof msg?.method === "string" && "id" in msg) return asks(line, entry, dir === "c2s" ? "request" : "serverRequest");
  if (entry.free) return;
  if ("result" in msg || "error" in msg) return answers(line, entry);
  return checkMethod(line, dir === "c2s" ? "clientNotification" : "notification", msg);
}

// In parts, because the file exceeds the longest string. `readline` would also split at U+2028, which JSON does not escape.
async function* linesOf(path) {
  let rest = "";
  for await (const part of createReadStream(path, { encoding: "utf8", highWaterMark: 2 ** 24 })) {
    const texts = (rest + part).split("\n");
    rest = texts.pop();
    yield* texts;
  }
  yield rest;
}

let lines = 0;
for await (const text of linesOf(transcriptPath)) {
  lines += 1;
  if (text === "") continue;
  const entry = JSON.parse(text);
  if ("raw" in entry) raw += 1;
  else message(lines, entry);
}

// Breaks a valid answer in every way that must not pass, and reports the ways that pass.
function blind(result) {
  const target = resultOf("thread/start", "ThreadStartParams");
  const breaks = {
    "a missing member": (broken) => delete broken.thread.id,
    "a member of another type": (broken) => (broken.thread.createdAt = "yesterday"),
    "a number out of range": (broken) => (broken.thread.createdAt = 2 ** 70),
    "a word that is not in the list": (broken) => (broken.approvalsReviewer = "nobody"),
    "an unknown member": (broken) => (broken.thread.status.colour = "blue"),
  };
  for (const [what, spoil] of Object.entries(breaks)) {
    const broken = structuredClone(result);
    spoil(broken);
    const [before, saved] = [violations.length, new Map(members)];
    check(0, "an answer that is wrong on purpose", target, broken, false);
    const noticed = violations.splice(before).length > 0;
    members.clear();
    for (const [where, times] of saved) members.set(where, times);
    if (!noticed) violations.push(`this check does not see ${what} in an answer`);
  }
}
if (sample) blind(sample);
else violations.push("no thread was started, so that this check could not be checked");

// ---- The report -------------------------------------------------------------------------------------------------------

const missing = [];
let implemented = 0;
console.log("kind                 seen  message");
for (const kind of Object.keys(UNIONS)) {
  const rows = tables.methods.filter((row) => row["x-kind"] === kind);
  for (const { name, "x-unraised": unraised } of rows) {
    const times = seen[kind].get(name) ?? 0;
    if (!unraised) implemented += 1;
    if (!unraised && times === 0) missing.push(`${kind} ${name}`);
    if (unraised && times > 0) violations.push(`${kind} ${name} was sent, but protocol/src/declined.rs says that it never is`);
    console.log(`${kind.padEnd(20)} ${String(times).padStart(4)}  ${name}${isOurs(name) ? " (ours)" : ""}${unraised ? ` (not sent: ${unraised})` : ""}`);
  }
}
console.log("\nmembers of ours");
for (const [where, times] of [...members].sort()) console.log(`${String(times).padStart(6)}  ${where}`);
console.log(`\n${ours} messages of ours, ${refused} errors; not checked: ${raw} texts that are no JSON, ${free} messages written by hand`);
for (const text of violations.slice(0, 50)) console.log(`\nviolation: ${text}`);
const required = part === "--part" ? [] : missing;
for (const name of required) console.log(`not in the transcript: ${name}`);
const coverage = Math.floor((100 * (implemented - missing.length)) / implemented);
const verdict = violations.length + required.length === 0 && messages > 0 ? "ok" : "FAILED";
console.log(`\npeer-conformance: ${verdict}, ${messages} messages, ${violations.length} violations, coverage ${coverage}%`);
process.exitCode = verdict === "ok" ? 0 : 1;
