// Writes the libraries of the page from their npm packages; scripts/page-vendor describes it.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

/** Each file of the page's vendor folder: its package, the file in it, and its licence. */
const FILES = [
  { name: "preact.js", from: "htm", file: "preact/standalone.module.js", licence: "Apache-2.0 (htm), MIT (preact, inside)" },
  { name: "marked.js", from: "marked", file: "lib/marked.esm.js", licence: "MIT" },
];

const [root, folder, wish] = process.argv.slice(2);
const checks = wish === "--check";
let wrong = 0;

function made({ from, file, licence }) {
  const base = join(root, "node_modules", from);
  const { version } = JSON.parse(readFileSync(join(base, "package.json"), "utf8"));
  const bytes = readFileSync(join(base, file));
  const hash = createHash("sha256").update(bytes).digest("hex");
  // Source maps stay in the package.
  const text = bytes.toString("utf8").replace(/\n?\/\/# sourceMappingURL=\S*\s*$/, "\n");
  return `/*! ${from} ${version}, ${file}, ${licence}\n * sha256 ${hash}\n * Made by scripts/page-vendor; do not edit. */\n${text}`;
}

/** skein-client comes from this repository, as one file: the minified module of scripts/client-build. */
function client() {
  const esbuild = createRequire(join(resolve(root), "package.json"))("esbuild");
  const [, internal] = /client_internal='(.*)'/.exec(readFileSync("scripts/lib/client/build", "utf8"));
  const options = { bundle: true, format: "esm", target: "es2023", charset: "utf8", minify: true, mangleProps: new RegExp(internal), write: false };
  const { text } = esbuild.buildSync({ entryPoints: ["protocol/typescript/src/index.ts"], ...options }).outputFiles[0];
  const { version, license } = JSON.parse(readFileSync("protocol/typescript/package.json", "utf8"));
  const hash = createHash("sha256").update(text).digest("hex");
  return `/*! skein-client ${version}, from protocol/typescript/src, ${license}\n * sha256 ${hash}\n * Made by scripts/page-vendor; do not edit. */\n${text}`;
}

const all = [...FILES, { name: "skein-client.js", from: "protocol/typescript" }];
for (const one of all) {
  const path = join(folder, one.name);
  const text = one.file === undefined ? client() : made(one);
  if (!checks) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    console.error(`${path} is not what ${one.from} has: run scripts/page-vendor`);
    wrong = 1;
  }
}
process.exitCode = wrong;
