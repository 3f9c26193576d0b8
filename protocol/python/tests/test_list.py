import asyncio
from contextlib import asynccontextmanager

from fake import EPOCH, THREAD, Case, World, played, settle, thread


def place(seq, epoch=EPOCH):
    return {"catalogSeq": seq, "catalogEpoch": epoch}


def change(method, seq, **more):
    return {"method": method, "params": {"threadId": THREAD, **more, "skein": place(seq)}, "emittedAtMs": 0}


def page(*rows, cursor=None, seq=4, **more):
    return {"data": list(rows), "nextCursor": cursor, "readStates": None, "skein": {**place(seq), **more}}


@asynccontextmanager
async def opened(*rows, cursor=None, **options):
    async with World() as at:
        at.list = at.skein.threads(**options)
        at.ids = lambda: [row["id"] for row in at.list.view.rows]
        await at.socket.up()
        await at.socket.answer("thread/list", page(*(rows or [thread()]), cursor=cursor))
        yield at


class Lists(Case):
    @played
    async def test_a_change_shows_at_once_and_the_rows_are_read_again(self):
        async with opened() as at:
            for seq in range(5, 9):
                await at.socket.give(change("thread/status/changed", seq, status={"type": "active", "activeFlags": []}))
            self.assertEqual(at.list.view.rows[0]["status"]["type"], "active")
            await asyncio.sleep(0.3)
            self.assertEqual(len(at.socket.asked("thread/list")), 2, "once for all changes")
            await at.socket.answer("thread/list", page(thread(preview="hello", updatedAt=9)))
            self.assertEqual(at.list.view.rows[0]["preview"], "hello")

    @played
    async def test_a_read_that_was_lost_with_the_link_is_made_again(self):
        async with opened() as at:
            await at.socket.give(change("thread/name/updated", 5, threadName="a name"))
            await at.reconnect()
            self.assertEqual(at.socket.asked("skein/catalog/resume")[0]["params"], {"after": 5, "catalogEpoch": EPOCH})
            await at.socket.answer("skein/catalog/resume", {**place(5), "tooOld": False, "changes": []})
            await at.socket.answer("thread/list", page(thread(name="a name", preview="new"), seq=5))
            self.assertEqual([(row["name"], row["preview"]) for row in at.list.view.rows], [("a name", "new")])

    @played
    async def test_changes_that_were_missed_come_from_the_catalog_and_an_old_number_lists_again(self):
        async with opened() as at:
            await at.reconnect()
            missed = {**place(6), "tooOld": False, "changes": [change("thread/deleted", 5), {"odd": 1}, 7]}
            await at.socket.answer("skein/catalog/resume", missed)
            self.assertEqual(at.ids(), [])
            await at.reconnect()
            await at.socket.answer("skein/catalog/resume", {**place(0, "new"), "tooOld": True, "changes": []})
            await at.socket.answer("thread/list", page(thread(id="b")))
            self.assertEqual((at.ids(), at.list.view.loading, at.link.state), (["b"], False, "live"))

    @played
    async def test_new_threads_come_in_and_archived_and_deleted_ones_leave(self):
        async with opened() as at:
            await at.socket.give({"method": "thread/started", "params": {"thread": thread(id="n"), "skein": place(5)}})
            await asyncio.sleep(0.3)
            await at.socket.answer("thread/list", page(thread(id="n", updatedAt=9), thread()))
            self.assertEqual(at.ids(), ["n", THREAD])
            await at.socket.give(change("thread/archived", 6))
            self.assertEqual(at.ids(), ["n"])
            await at.socket.give(change("thread/unarchived", 8))
            await asyncio.sleep(0.3)
            await at.socket.answer("thread/list", page(thread(id="n", updatedAt=9), thread()))
            self.assertEqual(at.ids(), ["n", THREAD])

    @played
    async def test_a_change_during_a_read_is_read_after_it(self):
        async with opened() as at:
            await at.socket.give(change("thread/name/updated", 5, threadName="a"))
            await asyncio.sleep(0.3)
            await at.socket.give(change("thread/deleted", 6))
            await asyncio.sleep(2)
            self.assertEqual(len(at.socket.asked("thread/list")), 2, "the read is still under way")
            # The server has read this before the thread left.
            await at.socket.answer("thread/list", page(thread(name="a"), seq=5))
            await asyncio.sleep(0.3)
            await at.socket.answer("thread/list", page(thread(id="other"), seq=6))
            self.assertEqual(at.ids(), ["other"])

    @played
    async def test_the_questions_that_wait_in_all_threads_are_counted_also_after_a_lost_link(self):
        def needs(number):
            return {"threads": number, "questions": number}

        async with World() as at:
            list = at.skein.threads(limit=1)
            await at.socket.up()
            await at.socket.answer("thread/list", page(thread(), cursor="c1", needsYou=needs(3)))
            self.assertEqual(list.view.needs_you["threads"], 3)
            await at.socket.give(change("skein/questions/changed", 5, open=[], needsYou=needs(2)))
            self.assertEqual(list.view.needs_you["threads"], 2)
            await at.reconnect()
            await at.socket.answer("skein/catalog/resume", {**place(6), "tooOld": False, "changes": [], "needsYou": needs(0)})
            self.assertEqual(list.view.needs_you["threads"], 0)

    @played
    async def test_pages_and_rows_behind_the_first_page_that_is_read_again(self):
        async with opened(thread(id="a", updatedAt=9), cursor="c1", limit=1) as at:
            self.assertTrue(at.list.view.has_more)
            at.list.more()
            await settle()
            asked = await at.socket.answer("thread/list", page(thread(id="a", updatedAt=9), thread(id="b", updatedAt=5), cursor="c2"))
            self.assertEqual((asked["params"]["cursor"], at.ids()), ("c1", ["a", "b"]))
            await at.socket.give(change("thread/closed", 5))
            await asyncio.sleep(0.3)
            await at.socket.answer("thread/list", page(thread(id="n", updatedAt=10), cursor="c3"))
            self.assertEqual(at.ids(), ["n", "a", "b"])
            at.list.more()
            await settle()
            self.assertEqual(at.socket.asked("thread/list")[-1]["params"]["cursor"], "c2")
            await at.socket.answer("thread/list", page())
            self.assertEqual((at.ids(), at.list.view.has_more), (["n", "a", "b"], False))

    @played
    async def test_a_search_asks_the_server_shows_snippets_and_goes_back_to_the_list(self):
        async with opened() as at:
            at.list.search("  needle ")
            await settle()
            self.assertEqual(at.socket.asked("thread/search")[0]["params"]["searchTerm"], "needle")
            at.list.search("needle two")
            await settle()
            old = {"data": [{"thread": thread(id="old"), "snippet": ""}]}
            await at.socket.give({"id": at.socket.asked("thread/search")[0]["id"], "result": old})
            self.assertEqual(at.ids(), [], "an answer to an earlier search is void")
            await at.socket.answer("thread/search", {"data": [{"thread": thread(), "snippet": "a needle"}], "nextCursor": None})
            self.assertEqual(at.list.view.rows[0]["snippet"], "a needle")
            await at.socket.give(change("thread/name/updated", 5, threadName="x"))
            await asyncio.sleep(0.3)
            self.assertEqual(len(at.socket.asked("thread/search")), 3)
            at.list.search("")
            await settle()
            await at.socket.answer("thread/list", page(thread(), seq=6))
            self.assertEqual(at.ids(), [THREAD])
            at.list.close()

    @played
    async def test_an_error_of_the_list_is_shown_and_an_overloaded_server_is_asked_later(self):
        async with World() as at:
            list = at.skein.threads()
            await at.socket.up()
            busy = {"code": -32001, "message": "busy", "data": {"reason": "busy", "retryAfterMs": 3000}}
            await at.socket.refuse("thread/list", busy)
            await asyncio.sleep(2.9)
            self.assertEqual(len(at.socket.asked("thread/list")), 1)
            await asyncio.sleep(0.2)
            await at.socket.refuse("thread/list", {"code": -32603, "message": "", "data": {"reason": "indexUnavailable"}})
            self.assertEqual((list.view.error.reason, list.view.loading, at.link.state), ("indexUnavailable", False, "live"))

    @played
    async def test_a_row_has_its_read_state(self):
        async with opened() as at:
            await at.socket.give(change("thread/readState/changed", 5, readState={"unread": True}))
            self.assertEqual(at.list.view.rows[0]["readState"], {"unread": True})
            await asyncio.sleep(0.3)
            await at.socket.answer("thread/list", {**page(thread()), "readStates": {THREAD: {"unread": False}}})
            self.assertEqual(at.list.view.rows[0]["readState"], {"unread": False})
