// Says one thing by skein-client, and prints the whole answer: node ask.mjs ADDRESS TEXT
import { connect } from "skein-client";

const [address, text] = process.argv.slice(2);
const skein = connect({ url: address.replace(/^http/, "ws") });
const chat = skein.thread();
chat.watch((view) => {
  const turn = view.turns.at(-1);
  if (view.error || turn?.status === "failed") {
    console.error(view.error ?? turn.error);
    process.exit(1);
  }
  if (turn?.status !== "completed") return;
  console.log(turn.items.find((item) => item.type === "agentMessage").text);
  process.exit();
});
chat.send(text);
