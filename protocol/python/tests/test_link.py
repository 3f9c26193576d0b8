import asyncio
import json

from fake import THREAD, Case, World, event, played, settle
from skein_client import SkeinError


class Links(Case):
    @played
    async def test_a_link_opts_in_and_calls_wait_for_it(self):
        async with World(token="secret") as at:
            self.assertEqual(at.socket.token, "secret")
            call = asyncio.ensure_future(at.skein.call("model/list", {}))
            await at.socket.up()
            extensions = at.socket.sent[0]["params"]["capabilities"]["extensions"]
            self.assertEqual(extensions, {"skein/events": {"version": 1}})
            self.assertEqual(at.socket.sent[1]["method"], "initialized")
            await at.socket.answer("model/list", {"data": []})
            self.assertEqual(await call, {"data": []})
            self.assertEqual(at.states, ["connecting", "catchingUp", "live"])

    @played
    async def test_pauses_double_up_to_ten_seconds_and_the_client_never_tries_sooner(self):
        async with World() as at:
            pauses = []
            for _ in range(10):
                await at.socket.end()
                pauses.append(at.wait)
                before = len(at.sockets)
                await asyncio.sleep(at.wait - 0.001)
                await settle()
                self.assertEqual(len(at.sockets), before)
                await asyncio.sleep(0.001)
                await settle()
                self.assertEqual(len(at.sockets), before + 1)
            self.assertEqual(pauses, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10])

    @played
    async def test_chance_spreads_the_pauses_from_the_shortest_to_the_longest(self):
        for chance, shown in [(0, [0.1, 0.1, 0.1]), (0.5, [0.1, 0.2, 0.4]), (1, [0.2, 0.4, 0.8])]:
            async with World(chance=lambda: chance) as at:
                pauses = []
                for _ in range(3):
                    await at.socket.end()
                    pauses.append(at.wait)
                    await asyncio.sleep(at.wait)
                    await settle()
                self.assertEqual(pauses, shown, f"chance {chance}")

    @played
    async def test_a_server_that_greets_and_hangs_up_is_not_tried_faster(self):
        async with World() as at:
            last = 0
            for _ in range(5):
                await at.socket.up()
                await at.socket.end()
                self.assertGreater(at.wait, last)
                last = at.wait
                await asyncio.sleep(at.wait)
                await settle()
            await at.socket.up()
            await asyncio.sleep(6)
            await at.socket.end()
            self.assertEqual(at.wait, 0.2, "a link that lived was good")

    @played
    async def test_a_client_comes_back_when_the_stopping_server_wants_it(self):
        async with World() as at:
            await at.socket.up()
            await at.socket.give({"method": "skein/stopping", "params": {"retryAfterMs": 1500}})
            self.assertEqual(at.link.state, "live")
            await at.socket.end()
            self.assertEqual(at.wait, 1.5)
            await asyncio.sleep(1.5)
            await settle()
            await at.socket.up()
            await at.socket.give({"method": "skein/stopping", "params": {"retryAfterMs": "soon"}})
            await at.socket.end()
            self.assertLess(at.wait, 1, "another link, and no time")

    @played
    async def test_three_silent_heartbeats_end_a_link_and_any_message_keeps_it(self):
        async with World() as at:
            await at.socket.up()
            await asyncio.sleep(59)
            await at.socket.give({"method": "skein/heartbeat", "params": {"at": 0}})
            await asyncio.sleep(59)
            self.assertEqual(at.link.state, "live")
            await asyncio.sleep(1.05)
            self.assertEqual(at.link.state, "reconnecting")
            self.assertTrue(at.socket.closed)

    @played
    async def test_a_handshake_that_hangs_is_given_up(self):
        async with World() as at:
            await asyncio.sleep(10.1)
            self.assertEqual(at.link.state, "reconnecting")

    @played
    async def test_calls_on_a_lost_link_end_with_link_lost_and_waiting_ones_are_sent_later(self):
        async with World() as at:
            await at.socket.up()
            lost = asyncio.ensure_future(at.skein.call("thread/list", {}))
            await settle()
            await at.socket.end()
            self.assertTrue((await self.fails(lost, "linkLost")).passing)
            waits = asyncio.ensure_future(at.skein.call("thread/list", {}))
            await asyncio.sleep(0.2)
            await settle()
            await at.socket.up()
            await at.socket.answer("thread/list", {"data": []})
            self.assertEqual(await waits, {"data": []})

    @played
    async def test_a_refused_credential_stops_the_client_until_it_is_told_to_go_on(self):
        async with World(token="old", refusal=SkeinError("expired", "the session is over")) as at:
            await settle()
            self.assertEqual((at.link.state, at.link.reason, at.link.message), ("refused", "expired", "the session is over"))
            await self.fails(at.skein.call("model/list", {}), "refused")
            await asyncio.sleep(100)
            self.assertEqual((at.link.state, at.sockets), ("refused", []))
            at.refusal = None
            at.skein.retry("new")
            await settle()
            self.assertEqual(at.socket.token, "new")
            await at.socket.up()
            self.assertEqual(at.link.state, "live")

    @played
    async def test_a_refused_initialize_says_why_and_an_overloaded_server_is_tried_again_when_it_says(self):
        async with World() as at:
            busy = {"code": -32001, "message": "busy", "data": {"reason": "busy", "retryAfterMs": 5000}}
            await at.socket.refuse("initialize", busy)
            self.assertEqual(at.wait, 5)
            await asyncio.sleep(5)
            await settle()
            await at.socket.refuse("initialize", {"code": -32600, "message": "no", "data": {"reason": "invalidParams"}})
            self.assertEqual((at.link.state, at.link.reason), ("refused", "invalidParams"))

    @played
    async def test_the_largest_message_is_the_one_that_a_close_with_1009_refuses(self):
        async with World() as at:
            await at.socket.up()
            small = asyncio.ensure_future(at.skein.call("model/list", {}))
            large = asyncio.ensure_future(at.skein.call("thread/name/set", {"threadId": THREAD, "name": "x" * 2_000_000}))
            await settle()
            await at.socket.end(1009)
            await self.fails(small, "linkLost")
            await self.fails(large, "tooLarge")

    @played
    async def test_garbage_answers_to_nobody_and_16_mib_do_no_harm(self):
        async with World() as at:
            await at.socket.up()
            seen = []
            at.skein.on("*", lambda message: seen.append(message["method"]))
            odd = ["", "{", "null", "7", "[]", '"text"', '{"id":99,"result":{}}', '{"id":null,"error":7}', '{"method":7}', b"\xff"]
            for text in [*odd, '{"id":[],"result":{}}', "[" * 100_000, json.dumps({"method": "thread/dance"})]:
                with self.assertNoLogs("skein_client", "ERROR"):
                    await at.socket.give(text)
            await at.socket.give(event("item/agentMessage/delta", {"delta": "x" * (16 << 20)}))
            self.assertEqual((at.link.state, seen), ("live", ["thread/dance", "item/agentMessage/delta"]))
            call = asyncio.ensure_future(at.skein.call("model/list", {}))
            await settle()
            await at.socket.give({"id": at.socket.asked("model/list")[0]["id"], "error": "no object"})
            await self.fails(call, "badAnswer")

    @played
    async def test_times_that_are_no_times_do_not_make_the_client_faster(self):
        for odd in ["soon", 1e12, -5, {}, float("nan")]:
            async with World() as at:
                await at.socket.refuse("initialize", {"code": -32001, "message": "", "data": {"retryAfterMs": odd}})
                self.assertTrue(0.2 <= at.wait < 2**31, f"{at.wait} after {odd}")
        for odd in ["soon", 1e12, {}, 0, -1]:
            async with World() as at:
                await at.socket.up({"version": 1, "heartbeatMs": odd})
                await asyncio.sleep(3600)
                self.assertEqual(at.link.state, "live", f"a heartbeat of {odd}")

    @played
    async def test_listeners_of_one_method_and_one_that_raises(self):
        async with World() as at:
            await at.socket.up()
            seen = []
            at.skein.on("warning", lambda message: 1 / 0)
            stop = at.skein.on("warning", lambda message: seen.append(message["params"]["message"]))
            for text in ("one", "two"):
                with self.assertLogs("skein_client"):
                    await at.socket.give({"method": "warning", "params": {"message": text, "threadId": None}})
                stop()
            self.assertEqual(seen, ["one"])

    @played
    async def test_a_closed_client_is_silent(self):
        async with World() as at:
            await at.socket.up()
            call = asyncio.ensure_future(at.skein.call("model/list", {}))
            await settle()
            at.skein.close()
            await self.fails(call, "linkLost")
            await self.fails(at.skein.call("model/list", {}), "closed")
            await asyncio.sleep(100)
            self.assertEqual((len(at.sockets), at.link.state), (1, "closed"))

    @played
    async def test_the_end_of_the_client_waits_for_links_that_are_closing(self):
        async with World() as at:
            await at.socket.up()
            at.socket.lingers = 1
            await at.socket.end()
            self.assertFalse(at.socket.closed)
        self.assertTrue(at.socket.closed)

    @played
    async def test_params_that_json_does_not_have_are_refused_before_they_are_sent(self):
        async with World() as at:
            await at.socket.up()
            for odd in (float("nan"), {1, 2}, "\ud800"):
                await self.fails(at.skein.call("thread/name/set", {"threadId": THREAD, "name": odd}), "badParams")
            self.assertEqual(at.link.state, "live")

    @played
    async def test_the_states_of_the_link_are_an_async_iterator(self):
        async with World() as at:
            seen = []

            async def follow():
                async for link in at.skein:
                    seen.append(link.state)

            task = asyncio.ensure_future(follow())
            await settle()
            await at.socket.up()
            at.skein.close()
            await task
            self.assertEqual(seen, ["connecting", "live"], "the state in between was skipped")
