"""What a program with types looks like, for `mypy --strict`. Each `ignore` below is an error that mypy must find."""

from typing import assert_type

from skein_client import Skein, SkeinError, View, protocol


async def use(skein: Skein) -> None:
    page = await skein.call("thread/list", {"limit": 10, "archived": False})
    assert_type(page, protocol.ThreadListResponse)
    for row in page["data"]:
        assert_type(row["preview"], str)
    skein.on("turn/completed", lambda message: print(message["params"]["turn"]["status"], message.get("seq")))
    chat = skein.thread()

    @chat.on_question
    async def answer(question: protocol.Question) -> protocol.QuestionAnswer | None:
        if question["method"] == "item/tool/requestUserInput":
            return {"answers": {one["id"]: {"answers": ["blue"]} for one in question["params"]["questions"]}}
        return None

    turn: str = await chat.send("hello")
    async for view in chat:
        assert_type(view, View)
        for item in view.turns[-1]["items"]:
            if item["type"] == "agentMessage":
                assert_type(item["text"], str)
    try:
        await skein.call("turn/interrupt", {"threadId": chat.id or "", "turnId": turn})
    except SkeinError as error:
        print(error.reason, error.retry_after_ms)
    await skein.call("thread/dance", {})  # type: ignore[call-overload]
    await skein.call("thread/read", {"threadIds": []})  # type: ignore[call-overload]
    page["next"]  # type: ignore[typeddict-item]
