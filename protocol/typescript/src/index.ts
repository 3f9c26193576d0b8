// skein-client: threads of a Skein server that survive broken links, reloads and restarts. README.md shows its use.

import { createCore } from "./core.ts";
import { createList } from "./list.ts";
import type { Options, Skein } from "./types.ts";

export { caughtUp, emptyThread, indexedDb, memory, reduce, resumed, SkeinError, webStorage, withOlder } from "./core.ts";
export type * from "./types.ts";

/** Connects to a server. The link is made, and made again, in the background. */
export function connect(options: Options): Skein {
  const core = createCore(options);
  return Object.assign(core, { threads: (options = {}) => createList(core, options) }) as Skein;
}
