"""The threads of a home that an earlier version left, as that version and this one show them.

    earlier.py threads ANSWERS          prints a name and an id a line
    earlier.py compare ANSWERS FOLDER   fails if a thread in FOLDER has other messages; prints the id of the thread "named"
"""

import json
import pathlib
import sys


def messages(thread):
    """The texts of a thread's messages, turn by turn. What a reader adds to a turn that was cut off is no message."""
    return [
        [item.get("text") or [part.get("text") for part in item.get("content", [])] for item in turn["items"] if "essage" in item["type"]]
        for turn in thread["turns"]
    ]


def main():
    doing, answers = sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text())
    threads = {name: thread for name, thread in answers.items() if thread}
    if doing == "threads":
        for name, thread in threads.items():
            print(name, thread["id"])
        return
    for name, thread in threads.items():
        now = json.loads(pathlib.Path(sys.argv[3], name).read_text())["thread"]
        if messages(now) != messages(thread):
            sys.exit(f"thread {name}: {messages(now)} instead of {messages(thread)}")
    print(threads["named"]["id"])


main()
