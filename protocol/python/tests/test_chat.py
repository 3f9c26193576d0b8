import asyncio
import json
import logging
import pathlib
import tempfile

from fake import THREAD, Case, World, event, message, on, played, question, settle, thread, turn
from skein_client import At, FileStore, Memory, SkeinError

ARCHIVED = thread(path=f"/home/shown/archived_sessions/00/{THREAD}.jsonl")


def user_message(client_id):
    return {"type": "userMessage", "id": "u1", "clientId": client_id, "content": []}


class Chats(Case):
    @played
    async def test_a_chat_comes_back_with_its_number_and_keeps_its_view(self):
        async with World() as at:
            chat = await at.chat()
            await at.socket.give(event("turn/started", {"turn": turn("t1")}, 3))
            await at.reconnect()
            self.assertEqual(at.socket.asked("thread/resume")[0]["params"]["skein"], {"afterSeq": 3, "epoch": 1})
            self.assertEqual(at.link.state, "catchingUp")
            await at.socket.give(event("turn/started", {"turn": turn("of the old subscription")}, 9))
            await at.resumed(on(3, 5))
            self.assertEqual(at.link.state, "catchingUp")
            await at.socket.give(event("item/started", {"turnId": "t1", "item": message("i1", "")}, 5))
            self.assertEqual(at.link.state, "live")
            self.assertEqual([(one["id"], len(one["items"])) for one in chat.view.turns], [("t1", 1)])

    @played
    async def test_an_answer_is_applied_before_the_events_that_follow_it(self):
        async with World() as at:
            chat = at.skein.thread(THREAD)
            await at.socket.up()
            request = at.socket.asked("thread/resume")[0]["id"]
            answer = {"id": request, "result": {"thread": thread(), "skein": {"seq": 2, "epoch": 1}}}
            for one in [answer, *(event("turn/started", {"turn": turn(f"t{seq}")}, seq) for seq in range(3, 30))]:
                at.socket.inbox.put_nowait(json.dumps(one))
            await asyncio.sleep(1)
            self.assertEqual([len(chat.view.turns), chat.view.at], [27, At(29, 1)])

    @played
    async def test_the_view_and_its_number_are_stored_together(self):
        store = Memory()
        async with World(store=store) as at:
            await at.chat()
            await at.socket.give(event("turn/started", {"turn": turn("t1")}, 3))
            await asyncio.sleep(1)
            state = store[f"thread.{THREAD}"]["state"]
            self.assertEqual((state["at"], len(state["turns"])), (At(3, 1), 1))
        async with World(store=store) as at:
            chat = at.skein.thread(THREAD)
            self.assertEqual(len(chat.view.turns), 1, "shown before the link is there")
            await at.socket.up()
            self.assertEqual(at.socket.asked("thread/resume")[0]["params"]["skein"], {"afterSeq": 3, "epoch": 1})

    @played
    async def test_the_end_of_the_client_stores_the_view_at_once(self):
        store = Memory()
        async with World(store=store) as at:
            await at.chat(turns=[turn("t1", items=[message("i1", "")])])
            await asyncio.sleep(2)
            await at.socket.give(event("item/agentMessage/delta", {"turnId": "t1", "itemId": "i1", "delta": "so far"}))
        state = store[f"thread.{THREAD}"]["state"]
        self.assertEqual((state["at"], state["turns"][0]["items"][0]["text"]), (At(2, 1), "so far"))

    @played
    async def test_a_file_keeps_views_and_messages_and_one_program_uses_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "views")
            store = FileStore(path)
            async with World(store=store) as at:
                chat = await at.chat(turns=[turn("t1", items=[message("i1", "ä\ud800")])], name="a name")
                chat.send("later")
                await settle()
                before = chat.view
            with self.assertRaises(SkeinError) as found:
                FileStore(path)
            self.assertEqual(found.exception.reason, "storeInUse")
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            store.close()
            store = FileStore(path)
            async with World(store=store) as at:
                after = at.skein.thread(THREAD).view
                for member in ("turns", "questions", "at", "name", "status", "model"):
                    self.assertEqual(getattr(after, member), getattr(before, member), member)
                self.assertEqual([(one.id, one.input) for one in after.unsent], [(one.id, one.input) for one in before.unsent])
            store.close()

    @played
    async def test_junk_in_the_store_and_a_store_that_fails_cost_nothing_but_what_is_stored(self):
        class Broken:
            def get(self, key):
                raise OSError("gone")

            def set(self, key, value):
                raise OSError("full")

            delete = get

        junk = {"v": 1, "state": {"id": THREAD, "turns": 7}}
        for store in [Broken(), Memory({f"thread.{THREAD}": junk, f"unsent.{THREAD}": "junk"}), Memory({f"thread.{THREAD}": 7})]:
            logging.disable()
            self.addCleanup(logging.disable, logging.NOTSET)
            async with World(store=store) as at:
                chat = await at.chat()
                chat.send("hello")
                await settle()
                self.assertEqual(len(at.socket.asked("turn/start")), 1)

    @played
    async def test_a_message_that_was_not_confirmed_is_sent_again_with_the_same_id(self):
        async with World() as at:
            chat = await at.chat()
            sent = chat.send("hello", effort="low")
            await settle()
            first = at.socket.asked("turn/start")[0]["params"]
            self.assertEqual((first["input"], first["effort"]), ([{"type": "text", "text": "hello"}], "low"))
            self.assertEqual(len(chat.view.unsent), 1)
            await at.reconnect()
            await at.resumed(on())
            second = at.socket.asked("turn/start")[0]["params"]
            self.assertEqual(second, first)
            await at.socket.answer("turn/start", {"turn": turn("t1")})
            self.assertEqual(await sent, "t1")
            self.assertEqual(len(chat.view.unsent), 1, "until the thread shows it")
            await at.socket.give(event("turn/started", {"turn": turn("t1")}, 3))
            own = user_message(first["clientUserMessageId"])
            await at.socket.give(event("item/completed", {"turnId": "t1", "item": own}, 4))
            self.assertEqual(chat.view.unsent, ())

    @played
    async def test_a_message_that_the_replay_shows_is_not_sent_again(self):
        async with World() as at:
            chat = await at.chat()
            sent = chat.send("hello")
            await settle()
            id = at.socket.asked("turn/start")[0]["params"]["clientUserMessageId"]
            await at.reconnect()
            gap = {"seq": 9, "epoch": 2, "pendingRequests": [], "gap": {"reason": "otherEpoch"}}
            await at.resumed(gap, turns=[turn("t1", items=[user_message(id)])])
            self.assertEqual(await sent, "t1")
            self.assertEqual((at.socket.asked("turn/start"), chat.view.unsent, chat.view.gaps), ([], (), True))

    @played
    async def test_messages_written_offline_survive_the_program_and_go_out_in_order(self):
        store = Memory()
        async with World(store=store) as at:
            chat = at.skein.thread(THREAD)
            lost = [chat.send("one"), chat.send("two")]
        for one in lost:
            await self.fails(one, "closed")
        async with World(store=store) as at:
            chat = await at.chat()
            self.assertEqual([one.input[0]["text"] for one in chat.view.unsent], ["one", "two"])
            self.assertEqual(len(at.socket.asked("turn/start")), 1)
            await at.socket.answer("turn/start", {"turn": turn("t1")})
            texts = [one["params"]["input"][0]["text"] for one in at.socket.asked("turn/start")]
            self.assertEqual(texts, ["one", "two"])

    @played
    async def test_an_overloaded_server_gets_the_message_later_and_a_refusal_stays_in_the_view(self):
        async with World() as at:
            chat = await at.chat()
            sent = chat.send("hello")
            await settle()
            later = {"code": -32001, "message": "later", "data": {"reason": "busy", "retryAfterMs": 3000}}
            await at.socket.refuse("turn/start", later)
            await asyncio.sleep(2.99)
            self.assertEqual(len(at.socket.asked("turn/start")), 1)
            await asyncio.sleep(0.02)
            self.assertEqual(len(at.socket.asked("turn/start")), 2)
            refusal = {"code": -32602, "message": "no", "data": {"reason": "invalidParams", "hint": "do this"}}
            await at.socket.refuse("turn/start", refusal)
            error = await self.fails(sent, "invalidParams")
            self.assertEqual((error.code, error.todo, error.passing), (-32602, "do this", False))
            [one] = chat.view.unsent
            self.assertEqual(one.error.reason, "invalidParams")
            chat.resend(one.id)
            await settle()
            self.assertEqual(at.socket.asked("turn/start")[-1]["params"]["clientUserMessageId"], one.id)
            chat.discard(one.id)
            self.assertEqual(chat.view.unsent, ())

    @played
    async def test_a_new_chat_starts_its_thread_at_the_first_message_and_again_where_the_server_forgot_it(self):
        async with World() as at:
            chat = at.skein.thread()
            await at.socket.up()
            self.assertEqual(at.link.state, "live")
            chat.send("hello")
            await settle()
            answer = {"thread": thread(), "skein": {"seq": 2, "epoch": 1}, "model": "echo"}
            await at.socket.answer("thread/start", answer)
            self.assertEqual((chat.id, chat.view.model, at.skein.thread(THREAD)), (THREAD, "echo", chat))
            await at.reconnect()
            none = {"code": -32600, "message": "none", "data": {"reason": "threadNotFound"}}
            await at.socket.refuse("thread/resume", none)
            await asyncio.sleep(0.5)
            await at.socket.answer("thread/start", {"thread": thread(id="another"), "skein": {"seq": 2, "epoch": 1}})
            self.assertEqual(chat.id, "another")
            self.assertEqual(at.socket.asked("turn/start")[0]["params"]["threadId"], "another")

    @played
    async def test_a_thread_starts_with_settings_or_says_why_not(self):
        async with World() as at:
            chat = at.skein.thread()
            started = asyncio.ensure_future(chat.start({"model": "echo"}))
            await at.socket.up()
            request = await at.socket.answer("thread/start", {"thread": thread(), "skein": {"seq": 2, "epoch": 1}})
            await started
            self.assertEqual((request["params"], chat.id), ({"model": "echo"}, THREAD))
            started = asyncio.ensure_future(at.skein.thread().start({"model": "none"}))
            await settle()
            await at.socket.refuse("thread/start", {"code": -32602, "message": "no", "data": {"reason": "unknownModel"}})
            await self.fails(started, "unknownModel")

    @played
    async def test_a_question_is_handed_out_once_and_its_answer_is_sent_until_it_is_confirmed(self):
        async with World() as at:
            chat = await at.chat({"seq": 2, "epoch": 1, "pendingRequests": [7]}, turns=[turn("t1")])
            asked = []

            @chat.on_question
            async def answer(one):
                asked.append(one["id"])
                return {"answers": {}}

            def answers():
                return len([one for one in at.socket.sent if one.get("id") == 7 and "result" in one])

            await at.socket.give(question(7))
            await at.socket.give(question(7))
            self.assertEqual((asked, answers()), ([7], 2), "the second one repeats the answer")
            self.assertEqual(chat.view.answered, {7})
            await at.reconnect()
            await at.resumed(on(pending=[7]))
            await at.socket.give(question(7))
            self.assertEqual((asked, answers()), ([7], 1))
            await at.socket.give(event("serverRequest/resolved", {"requestId": 7}))
            self.assertEqual((chat.view.questions, chat.view.answered), ((), frozenset()))

    @played
    async def test_the_end_of_the_client_ends_a_handler_that_waits_for_the_user(self):
        asked, ended = [], []

        async def think(question):
            asked.append(question["id"])
            try:
                await asyncio.sleep(1e5)
            finally:
                ended.append(question["id"])

        async with World() as at:
            chat = await at.chat(turns=[turn("t1")])
            chat.on_question(think)
            await at.socket.give(question(7))
            await at.socket.give(question(7))
        self.assertEqual((asked, ended), ([7], [7]), "it gets the question once")

    @played
    async def test_questions_that_were_answered_elsewhere_or_whose_turn_ended_disappear(self):
        async with World() as at:
            chat = await at.chat(turns=[turn("t1")])
            await at.socket.give(question(7))
            await at.socket.give(question(8))
            await at.socket.give(event("serverRequest/resolved", {"requestId": 7}))
            self.assertEqual([one["id"] for one in chat.view.questions], [8])
            await at.socket.give(event("turn/completed", {"turn": turn("t1", status="interrupted")}, 3))
            self.assertEqual(chat.view.questions, ())

    @played
    async def test_a_question_that_nobody_here_can_answer_is_refused(self):
        async with World() as at:
            chat = await at.chat(turns=[turn("t1")])
            await at.socket.give(question(7, "item/tool/call", tool="t", callId="c", arguments={}))
            await at.socket.give(question(8, "item/dance"))
            self.assertEqual([one["id"] for one in at.socket.sent if "error" in one], [7, 8])
            chat.on_question(lambda question: 1 / 0)
            await settle()
            await at.socket.give(question(9))
            self.assertEqual(at.socket.sent[-1]["error"]["message"], "division by zero")
            chat.on_question(lambda question: {"answers": {1, 2}})
            await at.socket.give(question(10))
            self.assertIn("not JSON serializable", at.socket.sent[-1]["error"]["message"])

    @played
    async def test_a_thread_that_comes_back_from_the_archive_is_asked_for_again_whatever_is_on_its_way(self):
        async with World() as at:
            chat = await at.chat()
            await at.socket.give(event("thread/archived"))
            first = at.socket.asked("thread/resume")[-1]
            await at.socket.give(event("thread/unarchived"))
            self.assertEqual(at.socket.asked("thread/resume")[-1]["params"]["skein"], {"afterSeq": 2, "epoch": 1})
            await at.socket.give({"id": first["id"], "result": {"thread": ARCHIVED, "skein": on()}})
            self.assertFalse(chat.view.archived, "the older answer does not count")
            await at.resumed(on())
            await at.socket.give(question(7))
            self.assertEqual(len(chat.view.questions), 1)

    @played
    async def test_a_client_that_was_away_learns_from_the_answer_whether_its_thread_is_archived(self):
        async with World() as at:
            chat = await at.chat()
            await at.socket.give(event("thread/archived"))
            await at.socket.answer("thread/resume", {"thread": ARCHIVED, "skein": on()})
            await at.reconnect()
            self.assertTrue(at.socket.asked("thread/resume")[-1]["params"]["skein"]["observe"])
            await at.resumed(on())
            self.assertEqual(at.socket.asked("thread/resume")[-1]["params"]["skein"], {"afterSeq": 2, "epoch": 1})
            self.assertFalse(chat.view.archived)

    @played
    async def test_a_deleted_thread_ends_its_chat_and_an_archived_one_is_observed_until_something_is_sent(self):
        async with World() as at:
            chat = await at.chat()
            await at.socket.give(event("thread/archived"))
            resumes = at.socket.asked("thread/resume")
            self.assertEqual(resumes[-1]["params"]["skein"], {"afterSeq": 2, "epoch": 1, "observe": True})
            await at.socket.answer("thread/resume", {"thread": ARCHIVED, "skein": on()})
            self.assertTrue(chat.view.archived)
            sent = chat.send("hello")
            await settle()
            self.assertEqual(at.socket.asked("thread/resume")[-1]["params"]["skein"], {"afterSeq": 2, "epoch": 1})
            await at.socket.give(event("thread/deleted"))
            await self.fails(sent, "deleted")
            self.assertEqual((chat.view.deleted, chat.view.error.reason), (True, "deleted"))
            await self.fails(chat.send("more"), "deleted")

    @played
    async def test_a_server_whose_numbers_contradict_themselves_is_not_asked_faster_than_the_backoff(self):
        async with World() as at:
            await at.chat()
            for number in range(5):
                before = len(at.socket.asked("thread/resume"))
                await at.socket.give(event("turn/started", {"turn": turn("t")}, 9 + number, 5 + number))
                self.assertEqual(len(at.socket.asked("thread/resume")), before)
                await asyncio.sleep(0.19)
                self.assertEqual(len(at.socket.asked("thread/resume")), before)
                await asyncio.sleep(20)
                await at.socket.give({"method": "skein/heartbeat", "params": {}})
                self.assertEqual(len(at.socket.asked("thread/resume")), before + 1)
                self.assertEqual(at.socket.asked("thread/resume")[-1]["params"]["skein"], {})
                await at.resumed({"seq": 2, "epoch": 1, "pendingRequests": []})

    @played
    async def test_a_server_that_answers_nonsense_is_not_asked_in_a_loop(self):
        for nonsense in [None, {}, {"thread": 7}, {"thread": {"id": THREAD}, "skein": 7}, {"thread": {"id": [1]}}]:
            async with World() as at:
                chat = at.skein.thread(THREAD)
                await at.socket.up()
                logging.disable()
                self.addCleanup(logging.disable, logging.NOTSET)
                await at.socket.answer("thread/resume", nonsense)
                await asyncio.sleep(50)
                self.assertLess(len(at.socket.asked("thread/resume")), 3, nonsense)
                self.assertIs(chat, at.skein.thread(THREAD))

    @played
    async def test_older_turns_steering_interrupting_and_closing(self):
        async with World() as at:
            chat = await at.chat({"seq": 2, "epoch": 1, "pendingRequests": [], "olderTurns": "c1"}, turns=[turn("t2")])
            history = asyncio.ensure_future(chat.history())
            await settle()
            asked = await at.socket.answer("thread/turns/list", {"data": [turn("t1")], "nextCursor": None})
            self.assertEqual((asked["params"]["cursor"], await history), ("c1", False))
            self.assertEqual([one["id"] for one in chat.view.turns], ["t1", "t2"])
            tasks = [asyncio.ensure_future(chat.interrupt()), asyncio.ensure_future(chat.steer("more"))]
            await settle()
            self.assertEqual(at.socket.asked("turn/interrupt")[0]["params"]["turnId"], "t2")
            self.assertEqual(at.socket.asked("turn/steer")[0]["params"]["expectedTurnId"], "t2")
            chat.close()
            await settle()
            self.assertEqual(len(at.socket.asked("thread/unsubscribe")), 1)
            self.assertIsNot(at.skein.thread(THREAD), chat)
            at.skein.close()
            for task in tasks:
                await self.fails(task, "linkLost")

    @played
    async def test_views_are_new_objects_for_each_change_and_the_same_without_one(self):
        async with World() as at:
            chat = await at.chat()
            views = []
            stop = chat.watch(views.append)
            self.assertIs(chat.view, chat.view)
            await at.socket.give(event("thread/name/updated", {"threadName": "a name"}, 3))
            stop()
            await at.socket.give(event("thread/name/updated", {"threadName": "another"}, 4))
            self.assertEqual([view.name for view in views], [None, "a name"])

    @played
    async def test_a_chat_is_an_async_iterator_of_its_views(self):
        async with World() as at:
            chat = await at.chat()
            names = []

            async def follow():
                async for view in chat:
                    names.append(view.name)

            task = asyncio.ensure_future(follow())
            await settle()
            await at.socket.give(event("thread/name/updated", {"threadName": "a name"}, 3))
            waits = asyncio.ensure_future(chat.until(lambda view: view.name == "b"))
            await settle()
            await at.socket.give(event("thread/name/updated", {"threadName": "b"}, 4))
            self.assertEqual((await waits).name, "b")
            chat.close()
            await task
            self.assertEqual(names, [None, "a name", "b"])
            await self.fails(chat.until(lambda view: False), "closed")
