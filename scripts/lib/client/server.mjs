// A server of Skein on a new home, for the proofs of skein-client.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Waits this long for a server's address and end, in milliseconds. */
const BOUND = 60_000;

/** Waits for a promise, but not for ever. */
export function within(what, promise, bound = BOUND) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${bound} ms`)), bound);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Serves a new home. `end()` stops the server, waits for its exit, and removes the home. */
export async function serve(skein, config = "") {
  const home = mkdtempSync(join(tmpdir(), "skein-client-"));
  writeFileSync(join(home, "config.toml"), config, { mode: 0o600 });
  const server = spawn(skein, ["serve", "--home", home, "--listen", "ws://127.0.0.1:0", "--log", "warn"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => server.once("exit", resolve));
  const end = async () => {
    server.kill("SIGTERM");
    await within("the end of the server", exited).finally(() => {
      server.kill("SIGKILL");
      rmSync(home, { recursive: true, force: true });
    });
  };
  const first = new Promise((resolve, reject) => {
    const lines = createInterface({ input: server.stdout });
    lines.once("line", resolve);
    lines.once("close", () => reject(new Error("the server ended at once")));
  });
  try {
    const { address } = JSON.parse(await within("the server's address", first));
    return { address, home, end };
  } catch (error) {
    await end();
    throw error;
  }
}
