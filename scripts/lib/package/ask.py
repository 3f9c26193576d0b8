"""Says one thing by skein-client, and prints the whole answer: ask.py ADDRESS TEXT"""

import asyncio
import sys

from skein_client import connect


async def main():
    address, text = sys.argv[1:]
    async with connect(address.replace("http", "ws", 1)) as skein:
        chat = skein.thread()
        turn = await chat.send(text)
        async for view in chat:
            for one in view.turns:
                if one["id"] == turn and one["status"] != "inProgress":
                    print(next(item["text"] for item in one["items"] if item["type"] == "agentMessage"))
                    return


asyncio.run(main())
