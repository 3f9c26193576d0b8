#!/usr/bin/env node
// Starts the program of this machine's processor, and ends as it ends.
"use strict";

const { spawn } = require("node:child_process");
const { existsSync } = require("node:fs");
const { constants } = require("node:os");
const path = require("node:path");

const machine = `${process.platform}-${process.arch}`;
const program = path.join(__dirname, "bin", `skein-${machine}`);
if (!existsSync(program)) {
  console.error(`skein-server: this package has no program for ${machine}. Build one: cargo install --path app-server --locked`);
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
child.on("error", (error) => {
  console.error(`skein-server: ${program} does not start: ${error.message}`);
  process.exit(1);
});
// A terminal sends SIGINT to both; the program decides when to end. Other signals reach this process alone.
process.on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
