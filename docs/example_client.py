#!/usr/bin/env python3
"""A chat with one thread that loses nothing when its link does. skein-client (protocol/python) follows the rules of docs/events.md.

    pip install ./protocol/python
    docs/example_client.py ws://127.0.0.1:4500 state "tell me a story"

The file `state` remembers the thread and its view: what the user has read. Run again with the same file, the client goes on from
there. It ends with the turn that its prompt begins; without a prompt it watches until Ctrl-C. A token comes from SKEIN_TOKEN.
Exit code 1: the turn failed, or the server refused something for good.
"""
import asyncio, os, sys

from skein_client import FileStore, SkeinError, connect


def texts(view):
    """The messages of the agent, by the ids of their items."""
    items = [item for turn in view.turns for item in turn["items"]]
    return {item["id"]: item["text"] for item in items if item["type"] == "agentMessage"}


def follow(chat):
    """Prints what is new of each message. A text that a crash of the server made shorter is printed again."""
    printed = texts(chat.view)

    def show(view):
        for id, text in texts(view).items():
            before = printed.get(id, "")
            print(text.removeprefix(before) if text.startswith(before) else f"\n{text}", end="", flush=True)
            printed[id] = text

    chat.watch(show)


async def answer(question):
    """Asks the user what the server asks; leaves every other question to other clients."""
    if question["method"] == "item/tool/requestUserInput":
        asked = {one["id"]: one["question"] for one in question["params"]["questions"]}
        return {"answers": {id: {"answers": [await asyncio.to_thread(input, f"{text}\n")]} for id, text in asked.items()}}


async def turn_of(chat, prompt):
    """Sends the prompt, and returns its turn when that has ended."""
    follow(chat)
    chat.on_question(answer)
    sent = chat.send(prompt) if prompt else asyncio.Future()

    def over(view):
        if view.link.state == "refused":
            raise SkeinError("refused", view.link.message)
        id = sent.result() if sent.done() else None
        return [turn for turn in view.turns if turn["id"] == id and turn["status"] != "inProgress"]

    return over(await chat.until(over))[0]


async def main(url, file, *words):
    store = FileStore(file)
    async with connect(url, os.environ.get("SKEIN_TOKEN"), store=store) as skein:
        skein.watch(lambda link: print(f"\n[{link.state}]", file=sys.stderr) if link.next_try else None)
        chat = skein.thread(store.get("last"))
        try:
            turn = await turn_of(chat, " ".join(words))
        except SkeinError as error:
            if error.reason != "threadNotFound":
                raise
            chat = skein.thread()  # the server does not have the thread any more
            turn = await turn_of(chat, " ".join(words))
        store.set("last", chat.id)
    print()
    if turn["status"] == "failed":
        sys.exit(turn["error"]["message"])


try:
    asyncio.run(main(*sys.argv[1:]))
except SkeinError as error:
    sys.exit(f"\n{error}")
except KeyboardInterrupt:
    sys.exit(130)
