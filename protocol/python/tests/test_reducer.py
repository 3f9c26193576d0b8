import copy
from functools import reduce as fold

from fake import THREAD, Case, event, message, question, thread, turn
from skein_client import At, empty_thread, reduce, resumed, with_older


def whole(turns, **skein):
    skein = {"seq": 2, "epoch": 1, "pendingRequests": [], **skein}
    return resumed(empty_thread(THREAD), {"thread": thread(turns=turns), "skein": skein})


def play(state, *events):
    return fold(reduce, events, state)


def begun():
    return play(
        whole([]),
        event("turn/started", {"turn": turn("t1")}, 3),
        event("item/started", {"turnId": "t1", "item": message("i1", "")}, 4),
        event("item/agentMessage/delta", {"turnId": "t1", "itemId": "i1", "delta": "one "}),
    )


class Reducer(Case):
    def test_events_build_turns_and_items_and_the_number_moves_with_the_view(self):
        state = begun()
        self.assertEqual((state.turns[0]["items"][0]["text"], state.at), ("one ", At(4, 1)))
        done = play(
            state,
            event("item/completed", {"turnId": "t1", "item": message("i1", "one two")}, 5),
            event("turn/completed", {"turn": turn("t1", status="completed"), "skein": {"saved": False}}, 6),
        )
        self.assertEqual((done.turns[0]["status"], done.turns[0]["items"][0]["text"]), ("completed", "one two"))
        self.assertIs(done.turns[0]["saved"], False)

    def test_turns_and_items_that_are_none_are_left_out(self):
        state = whole([None, turn("t1", items=[None, message("i1", "one")]), turn("t2", items=None), 7])
        self.assertEqual([(one["id"], len(one["items"])) for one in state.turns], [("t1", 1), ("t2", 0)])
        older = with_older(state, {"data": [None, turn("t0", items=[None])], "nextCursor": None})
        self.assertEqual([one["id"] for one in older.turns], ["t0", "t1", "t2"])

    def test_each_event_twice_changes_nothing(self):
        events = [
            event("turn/started", {"turn": turn("t1")}, 3),
            event("item/started", {"turnId": "t1", "item": message("i1", "")}, 4),
            event("item/completed", {"turnId": "t1", "item": message("i1", "one")}, 5),
            event("turn/completed", {"turn": turn("t1", status="completed")}, 6),
            event("thread/name/updated", {"threadName": "a name"}, 7),
        ]
        once = play(whole([]), *events)
        self.assertEqual(play(whole([]), *[one for one in events for _ in range(2)]), once)
        self.assertEqual(play(whole([]), *events, *events), once)

    def test_an_event_with_the_number_of_the_view_is_not_applied_again(self):
        state = begun()
        self.assertIs(reduce(state, event("item/started", {"turnId": "t1", "item": message("i1", "")}, 4)), state)

    def test_an_item_that_comes_again_replaces_its_content(self):
        state = reduce(begun(), event("item/started", {"turnId": "t1", "item": message("i1", "one two three")}))
        self.assertEqual([item["text"] for item in state.turns[0]["items"]], ["one two three"])
        self.assertEqual(state.at, At(4, 1))

    def test_a_view_never_changes_in_place(self):
        before = begun()
        kept = copy.deepcopy(before)
        reduce(before, event("item/agentMessage/delta", {"turnId": "t1", "itemId": "i1", "delta": "two"}))
        reduce(before, event("turn/completed", {"turn": turn("t1", status="failed")}, 9))
        self.assertEqual(before, kept)

    def test_numbers_that_fall_are_ignored_and_an_unknown_epoch_asks_for_the_whole(self):
        state = begun()
        self.assertIs(reduce(state, event("turn/started", {"turn": turn("t0")}, 2)), state)
        self.assertIs(reduce(state, event("turn/started", {"turn": turn("t0")}, 9, 0)), state)
        stale = reduce(state, event("turn/started", {"turn": turn("t2")}, 9, 2))
        self.assertEqual((stale.stale, stale.at), (True, None))

    def test_a_revert_drops_turns_and_their_questions(self):
        asked = play(begun(), event("turn/started", {"turn": turn("t2")}, 8), question(7, turnId="t2"))
        self.assertEqual(len(asked.questions), 1)
        state = reduce(asked, event("thread/reverted", {"skein": {"beforeTurnId": "t2"}}, 9, 2))
        self.assertEqual(([one["id"] for one in state.turns], state.questions, state.at), (["t1"], (), At(9, 2)))
        unsaved = reduce(asked, event("thread/reverted", {"skein": {"beforeTurnId": "t2"}}))
        self.assertIsNone(unsaved.at, "the revert may be lost, so the number is forgotten")
        self.assertTrue(reduce(asked, event("thread/reverted", {"skein": {"beforeTurnId": "t0"}}, 9, 2)).stale)

    def test_an_answer_that_continues_keeps_the_view_and_a_gap_replaces_it(self):
        state = play(begun(), question(7))
        skein = {"seq": 4, "epoch": 1, "replayTo": 9, "pendingRequests": []}
        on = resumed(state, {"thread": thread(), "skein": skein})
        self.assertEqual((on.turns, on.questions, on.replay_to, on.at), (state.turns, (), 9, state.at))
        skein = {"seq": 20, "epoch": 2, "pendingRequests": [7], "gap": {"reason": "otherEpoch"}, "olderTurns": "c"}
        gap = resumed(state, {"thread": thread(turns=[turn("t9")]), "skein": skein})
        found = (gap.turns[0]["id"], gap.gaps, gap.at, gap.older, len(gap.questions))
        self.assertEqual(found, ("t9", True, At(20, 2), "c", 1))
        older = with_older(gap, {"data": [turn("t8"), turn("t7"), turn("t9")], "nextCursor": None})
        self.assertEqual(([one["id"] for one in older.turns], older.older), (["t7", "t8", "t9"], None))

    def test_reasoning_plans_progress_usage_and_retries(self):
        reasoning = {"type": "reasoning", "id": "r", "summary": [], "content": []}
        items = [reasoning, {"type": "plan", "id": "p", "text": ""}, {"type": "mcpToolCall", "id": "m"}]
        state = play(
            whole([turn("t1", items=items)]),
            event("item/reasoning/summaryPartAdded", {"turnId": "t1", "itemId": "r", "summaryIndex": 0}),
            event("item/reasoning/summaryTextDelta", {"turnId": "t1", "itemId": "r", "summaryIndex": 0, "delta": "so"}),
            event("item/reasoning/textDelta", {"turnId": "t1", "itemId": "r", "contentIndex": 4e9, "delta": "hm"}),
            event("item/plan/delta", {"turnId": "t1", "itemId": "p", "delta": "1."}),
            event("item/mcpToolCall/progress", {"turnId": "t1", "itemId": "m", "message": "half"}),
            event("thread/tokenUsage/updated", {"tokenUsage": {"total": 3}}, 9),
            event("error", {"turnId": "t1", "error": {"message": "overloaded"}, "willRetry": True}),
        )
        thoughts, plan, call = state.turns[0]["items"]
        found = (thoughts["summary"], thoughts["content"], plan["text"], call["progress"])
        self.assertEqual(found, (["so"], ["hm"], "1.", "half"))
        self.assertEqual((state.usage, state.retrying["message"]), ({"total": 3}, "overloaded"))
        on = reduce(state, event("item/completed", {"turnId": "t1", "item": message("i", "")}, 10))
        self.assertIsNone(on.retrying)

    def test_unknown_methods_items_and_shapes_change_nothing(self):
        state = begun()
        for odd in [
            event("item/dance"),
            {"method": "turn/started"},
            event("turn/started", {"turn": None}),
            event("turn/completed"),
            event("item/completed", {"turnId": "t1"}),
            event("thread/status/changed", {"status": None}),
            event("item/agentMessage/delta", {"turnId": "none", "itemId": "none", "delta": "x"}),
        ]:
            self.assertIs(reduce(state, odd), state, odd)
        odd = reduce(state, event("item/started", {"turnId": "t1", "item": {"type": "hologram", "id": "h"}}, 9))
        self.assertEqual(odd.turns[0]["items"][1]["type"], "hologram")
