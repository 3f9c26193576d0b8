// Runs round.mjs in each program against one server. Arguments: skein, the client's module, then a command for each program.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { serve, within } from "./server.mjs";

const [skein, module, ...programs] = process.argv.slice(2);
const round = fileURLToPath(new URL("round.mjs", import.meta.url));
const server = await serve(skein);
try {
  for (const program of programs) {
    const began = Date.now();
    const [command, ...options] = program.split(" ");
    const child = spawn(command, [...options, round, module, server.address], { stdio: "inherit" });
    const ended = new Promise((resolve, reject) => {
      child.once("exit", resolve);
      child.once("error", reject);
    });
    const code = await within(program, ended).finally(() => child.kill("SIGKILL"));
    if (code !== 0) throw new Error(`${program} ended with ${code}`);
    console.log(`${command.split("/").at(-1).padEnd(6)} ok, ${Date.now() - began} ms`);
  }
} finally {
  await server.end();
}
