// skein-client for scripts/two-clients: pages ("tabs") in one program. It reads a command in each line of stdin, and writes
// an answer for each. Arguments: the client's module, the address of the proxy.

import { createInterface } from "node:readline";

const [module, url] = process.argv.slice(2);
const { connect, memory } = await import(module);
const tabs = new Map();

/** A websocket that breaks after a number of messages: between two frames, where a test wants it. */
const faulty = (tab) =>
  class {
    constructor(url, protocols) {
      this.inner = new WebSocket(url, protocols);
      this.inner.onopen = (event) => this.onopen?.(event);
      this.inner.onclose = (event) => this.onclose?.(event);
      this.inner.onmessage = (event) => {
        if (tab.cutAfter !== undefined && tab.cutAfter-- <= 0) {
          tab.cutAfter = undefined;
          tab.cuts++;
          this.inner.close();
          this.onclose?.({ code: 1006 });
        } else {
          this.onmessage?.(event);
        }
      };
    }
    get readyState() {
      return this.inner.readyState;
    }
    send(text) {
      this.inner.send(text);
    }
    close() {
      this.inner.close();
    }
  };

/** Answers open questions, once the test lets it. */
function answerOpen(tab) {
  if (!tab.answers) return;
  for (const { id, params, answered } of tab.chat.view.questions) {
    if (answered) continue;
    tab.chat.answer(id, { answers: { [params.questions[0].id]: { answers: ["an answer of a page"] } } });
  }
}

/** A page begins, or is loaded again: its storage stays. */
function load(number, thread) {
  const old = tabs.get(number);
  old?.skein.close();
  const tab = { storage: memory(), thread, asked: new Map(), ...old, cuts: old?.cuts ?? 0, answers: false };
  tabs.set(number, tab);
  // Without chance the pauses are as short as they may be.
  tab.skein = connect({ url, storage: tab.storage, WebSocket: faulty(tab), random: () => 0 });
  tab.chat = tab.skein.thread(tab.thread);
  const once = new Set();
  tab.chat.onQuestion = ({ id }) => {
    if (once.has(id)) throw new Error(`the question ${id} was handed out twice`);
    once.add(id);
  };
  tab.chat.watch(() => answerOpen(tab));
}

const commands = {
  load: ({ tab, thread }) => load(tab, thread),
  cut: ({ tab, after }) => void (tabs.get(tab).cutAfter = after),
  send: ({ tab, text }) => void tabs.get(tab).chat.send(text),
  interrupt: ({ tab }) => void tabs.get(tab).chat.interrupt().catch(() => {}),
  answer({ tab, on }) {
    tabs.get(tab).answers = on;
    answerOpen(tabs.get(tab));
  },
  /** Whether the page has come this far, and nothing of it waits. */
  there({ tab, seq }) {
    const { at, unsent, link } = tabs.get(tab).chat.view;
    return { there: at?.seq >= seq && unsent.length === 0 && link.state === "live" };
  },
  view({ tab }) {
    const { chat, cuts } = tabs.get(tab);
    const { turns, name, status, questions, usage, at, unsent, link, error, gaps } = chat.view;
    const shown = questions.map(({ id, params }) => [id, params]);
    return { turns, name, status, questions: shown, usage, at, unsent: unsent.length, link: link.state, error: error?.message, gaps, cuts };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const answer = commands[command.do](command) ?? {};
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
for (const { skein } of tabs.values()) skein.close();
process.exit(0);
