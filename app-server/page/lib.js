// What every part of the page uses: the view library, storage, words, icons, links, and what a screen reader hears.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState, Component, render } from "./vendor/preact.js";

export { html, useEffect, useLayoutEffect, useMemo, useRef, useState, Component, render };

/**
 * A value that components watch.
 * @template T
 */
export class Cell {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<(value: T) => void>} */
    this.watchers = new Set();
  }
  /** @param {T} value */
  set(value) {
    if (value === this.value) return;
    this.value = value;
    for (const watcher of [...this.watchers]) watcher(value);
  }
  /**
   * Calls the watcher at once and after each change, until the returned function is called.
   * @param {(value: T) => void} watcher
   */
  watch(watcher) {
    this.watchers.add(watcher);
    watcher(this.value);
    return () => void this.watchers.delete(watcher);
  }
}

/** @returns {() => void} What renders this component again. */
function useAgain() {
  const [, set] = useState(0);
  return () => set((n) => n + 1);
}

/**
 * Renders again when the cell changes.
 * @template T
 * @param {Cell<T>} cell
 * @returns {T}
 */
export function useCell(cell) {
  const again = useAgain();
  useLayoutEffect(() => {
    const seen = cell.value;
    cell.watchers.add(again);
    if (cell.value !== seen) again();
    return () => void cell.watchers.delete(again);
  }, [cell]);
  return cell.value;
}

/**
 * Renders again when the watched thing has a new view, at most once a frame.
 * @template V
 * @param {{ view: V, watch: (listener: (view: V) => void) => () => void } | undefined} thing
 * @returns {V | undefined}
 */
export function useView(thing) {
  const again = useAgain();
  useLayoutEffect(() => {
    if (thing === undefined) return undefined;
    let due = 0;
    const draw = () => {
      due = 0;
      again();
    };
    const stop = thing.watch(() => void (due ||= requestAnimationFrame(draw)));
    return () => {
      stop();
      cancelAnimationFrame(due);
    };
  }, [thing]);
  return thing?.view;
}

/** Renders again every so many milliseconds, while `on`.
 * @param {number} ms
 * @param {boolean} [on]
 */
export function useTick(ms, on = true) {
  const again = useAgain();
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(again, ms);
    return () => clearInterval(timer);
  }, [ms, on]);
}

/**
 * A component that renders again only if one of its properties has changed.
 * @param {(props: any) => any} draw
 * @returns {any}
 */
export function memo(draw) {
  return class extends Component {
    /** @param {any} next */
    shouldComponentUpdate(next) {
      const now = /** @type {any} */ (this).props;
      for (const key in next) if (next[key] !== now[key]) return true;
      for (const key in now) if (!(key in next)) return true;
      return false;
    }
    /** @param {any} props */
    render(props) {
      // The state of `draw` is its own, so that a change of it is not held back here.
      return html`<${draw} ...${props} />`;
    }
  };
}

/** A part that fails says so, or is drawn as `instead`, and the other parts go on. */
export class Guard extends Component {
  /** @param {any} props */
  render({ children, instead }) {
    if (!(/** @type {any} */ (this).state.broken)) return children;
    return instead?.() ?? html`<p class="fault" role="alert">This part of the page failed. <button onClick=${() => location.reload()}>Load the page again</button></p>`;
  }
  /** @param {unknown} error */
  componentDidCatch(error) {
    console.warn(error);
    /** @type {any} */ (this).setState({ broken: true });
  }
}

/**
 * A component whose file comes when it is first drawn.
 * @param {() => Promise<any>} load
 * @param {string} name
 * @param {(props: any) => any} [instead] What is drawn until then.
 */
export function lazy(load, name, instead = () => null) {
  /** @type {any} */
  let found;
  return (/** @type {any} */ props) => {
    const again = useAgain();
    useEffect(() => {
      if (found === undefined) load().then((file) => ((found = file[name]), again()), () => {});
    }, []);
    return found === undefined ? instead(props) : html`<${found} ...${props} />`;
  };
}

/** Controls, lone surrogates, what is drawn as nothing (DI) and rare spaces; not the selector of an emoji's colours. */
const HIDDEN = /(?![\t\n\uFE0F])[\p{Cc}\p{Cs}\p{DI}\u2028\u2029\u202F\u205F\uFFF9-\uFFFB]/gu;

/**
 * Makes control, bidi and zero-width characters visible, as `⟨U+202E⟩`.
 * @param {unknown} text
 * @returns {string}
 */
export function visible(text) {
  return String(text).replace(HIDDEN, (found) => `⟨U+${(found.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/**
 * One line of at most `limit` characters, with hidden characters made visible.
 * @param {unknown} text
 * @param {number} [limit]
 */
export function line(text, limit = 120) {
  const one = visible(String(text).slice(0, limit * 4).replace(/\s+/g, " ").trim());
  return one.length > limit ? `${one.slice(0, limit - 1)}…` : one;
}

/** @param {string} text A word for a shell, with quotes where it needs them. */
export function quoted(text) {
  const word = line(text, 400);
  return /^[\w./~-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`;
}

/** @param {number} bytes */
export function size(bytes) {
  for (const [unit, at] of /** @type {[string, number][]} */ ([["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]))
    if (bytes >= at) return `${(bytes / at).toFixed(bytes >= at * 10 ? 0 : 1)} ${unit}`;
  return `${bytes} B`;
}

/** @param {number} ms */
export function lasting(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** @param {number} ms Unix milliseconds. */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString([], { timeStyle: "medium" });
}

/** @param {number} seconds Unix seconds. */
export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "now";
  if (past < 3600) return `${Math.floor(past / 60)} min`;
  if (past < 86_400) return `${Math.floor(past / 3600)} h`;
  return new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "short" });
}

/**
 * The words of an error, whatever was thrown.
 * @param {any} error
 * @returns {string}
 */
export function words(error) {
  const said = error?.message ? String(error.message) : String(error);
  return error?.todo && !said.includes(error.todo) ? `${said} ${error.todo}` : said;
}

/**
 * @param {string} text
 * @returns {[boolean, () => void]} Whether the clipboard has just got the text, and what puts it there.
 */
export function useCopy(text) {
  const [done, setDone] = useState(false);
  const press = () => navigator.clipboard.writeText(text).then(() => {
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  }, () => {});
  return [done, press];
}

/** @param {any} node */
export function isField(node) {
  return node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));
}

/** @type {Record<string, string>} */
const PATHS = {
  send: "M12 20V5M5.5 11.5 12 5l6.5 6.5",
  stop: "M7 7h10v10H7z",
  plus: "M12 5v14M5 12h14",
  menu: "M4 7h16M4 12h16M4 17h16",
  panel: "M4 5h16v14H4zM15 5v14",
  clip: "m8 12.5 6-6a3 3 0 0 1 4.3 4.3l-8 8a5 5 0 0 1-7-7l7.5-7.5",
  close: "M6 6l12 12M18 6 6 18",
  edit: "M4 20h4L19 9l-4-4L4 16zM13.5 6.5l4 4",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7M10.5 11v5M13.5 11v5",
  archive: "M4 5h16v4H4zM6 9v10h12V9M10 13h4",
  again: "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
  down: "M12 5v14M6 13l6 6 6-6",
  copy: "M9 9h10v11H9zM6 15H5V4h10v2",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5",
  tool: "M14.5 6.5a4 4 0 0 0-5 5L4 17l3 3 5.5-5.5a4 4 0 0 0 5-5L15 12l-3-3z",
  ok: "m5 12.5 4.5 4.5L19 7.5",
  help: "M9 9.5a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18v.2",
};

/**
 * @param {string} name
 * @returns {any}
 */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}

/** @param {string} name The address of a file beside this one. */
export function asset(name) {
  return new URL(name, import.meta.url).href;
}

const WEB = /^(?:https?:\/\/|mailto:)/i;
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/=\s]+$/i;
const ENTITIES = /** @type {Record<string, string>} */ ({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", hellip: "…", mdash: "—", ndash: "–" });

/** @param {string} text Entities become their characters. */
export function decoded(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));/gi, (whole, tens, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const point = parseInt(tens ?? hex, tens === undefined ? 16 : 10);
    return point > 0 && point < 0x110000 ? visible(String.fromCodePoint(point)) : whole;
  });
}

/**
 * Where a link may lead: `undefined` for everything but the web and mail.
 * @param {unknown} address
 * @returns {string | undefined}
 */
export function safeLink(address) {
  const given = decoded(String(address ?? "")).trim();
  // A second look at what the browser has read: it ignores some characters.
  if (!WEB.test(given) || visible(given) !== given || !URL.canParse(given)) return undefined;
  const { href } = new URL(given);
  return WEB.test(href) ? href : undefined;
}

/**
 * Whether an address is a raster picture inside of the text itself.
 * @param {unknown} address
 */
export function isPicture(address) {
  return typeof address === "string" && PICTURE.test(address);
}

/**
 * @param {string} address
 * @param {any} content
 */
export function link(address, content) {
  return html`<a href=${address} target="_blank" rel="noopener noreferrer" title=${line(address, 300)}>${content}</a>`;
}


/** The newest item, and how much of it was read out.
 * @type {{ thread: string | undefined, item: string | undefined, said: number }}
 */
let heard = { thread: "", item: undefined, said: 0 };
let due = 0;
/** @type {string[]} */
let queue = [];

/** @param {string} id @param {string} text */
function put(id, text) {
  const region = document.getElementById(id);
  if (region === null) return;
  const line = document.createElement("p");
  line.textContent = text.slice(0, 2000);
  region.append(line);
  while (region.childNodes.length > 8) region.firstChild?.remove();
}

/** @param {string} text Said after what is being said. */
export function say(text) {
  queue.push(text);
  due ||= window.setTimeout(() => {
    due = 0;
    put("polite", queue.join(" "));
    queue = [];
  }, 700);
}

/** @param {string} text Said at once. */
export function sayNow(text) {
  put("urgent", text);
}

/** @param {string} text Markdown signs are not read. */
function spoken(text) {
  return text.replace(/```[\s\S]*?(?:```|$)/g, " Code. ").replace(/[*_`#>|]+/g, " ").replace(/\s+/g, " ").trim();
}

/**
 * Announces the sentences that the newest answer has gained. What a chat already has when it opens is not read out.
 * @param {any} view
 */
export function announce(view) {
  const turn = view.turns[view.turns.length - 1];
  const item = turn?.items[turn.items.length - 1];
  const opens = heard.thread !== undefined && heard.thread !== view.id && turn?.status !== "inProgress";
  if (opens || heard.item !== item?.id) heard = { thread: view.id, item: item?.id, said: opens ? Infinity : 0 };
  if (item?.type !== "agentMessage") return;
  const rest = item.text.slice(heard.said);
  const running = turn.status === "inProgress" && item.completedAtMs === null;
  const ends = running ? Math.max(...[". ", "! ", "? ", "\n", "。"].map((end) => rest.lastIndexOf(end))) + 1 : rest.length;
  if (ends <= 0) return;
  heard.said += ends;
  const text = spoken(rest.slice(0, ends));
  if (text !== "") say(text);
}
