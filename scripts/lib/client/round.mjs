// A short conversation with a real server, in Node, Deno or Bun: a turn, a question, an interrupt, the list, a revert.

import process from "node:process";

const [module, url] = process.argv.slice(2);
const { connect, SkeinError } = await import(module);
const fail = (why) => {
  console.error(why);
  process.exit(1);
};
const alarm = setTimeout(() => fail(`too slow: ${JSON.stringify(skein.link)}`), 30_000);
const same = (found, wanted, what) => {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) fail(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
};
/** Waits until a view is as wanted. */
const until = (shown, holds) =>
  new Promise((resolve) => {
    const stop = shown.watch((view) => {
      if (!holds(view)) return;
      queueMicrotask(() => stop());
      resolve(view);
    });
  });
const ended = (id) => (view) => view.turns.some((turn) => turn.id === id && turn.status !== "inProgress");

const skein = connect({ url });
const list = skein.threads();
const chat = skein.thread();
const asked = [];
chat.onQuestion = async (question) => {
  asked.push(question.id);
  return { answers: { [question.params.questions[0].id]: { answers: ["blue"] } } };
};
const first = await chat.send("hello");
const view = await until(chat, ended(first));
same(view.turns[0].items.map((item) => item.type), ["userMessage", "agentMessage"], "items");
same(view.turns[0].items[1].text, "hello", "the answer of echo");
await until(chat, ended(await chat.send("/ask Which colour?")));
same(asked.length, 1, "questions");
const long = chat.send("/stream 100000 8 20");
await until(chat, (view) => view.turns.at(-1).items.some((item) => item.text?.length > 50));
await chat.interrupt();
await until(chat, ended(await long));
same(chat.view.turns.map((turn) => turn.status), ["completed", "completed", "interrupted"], "turns");
await until(list, (view) => view.rows.some((row) => row.id === chat.id && row.preview === "hello"));
await skein.call("thread/revert", { threadId: chat.id, beforeTurnId: chat.view.turns[2].id });
await until(chat, (view) => view.turns.length === 2);
const refused = await skein.call("thread/read", { threadId: "none" }).catch((error) => error);
if (!(refused instanceof SkeinError)) fail("an error of another class");
await skein.call("thread/delete", { threadId: chat.id });
await until(chat, (view) => view.deleted);
await until(list, (view) => view.rows.every((row) => row.id !== chat.id));
skein.close();
same(skein.link.state, "closed", "the link");
clearTimeout(alarm);
process.exit(0);
