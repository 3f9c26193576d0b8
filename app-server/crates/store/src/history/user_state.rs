//! The user's read position in a thread, and the thread's goal. Pure.

use skein_base::clock::WallMs;
use skein_protocol::event::ThreadTokenUsage;
use skein_protocol::ids::{EventSeq, TurnId};
use skein_protocol::thread::{ThreadGoalStatus, ThreadUnreadPosition};

use super::History;
use crate::rollout::record::{Goal, ReadPosition, ThreadHeader, ThreadRead};

impl History {
    /// The user's read position.
    pub fn read_position(&self) -> &ReadPosition {
        &self.read
    }

    /// The thread's goal.
    pub fn goal(&self) -> Option<&Goal> {
        self.goal.as_ref()
    }

    /// Whether the last record has brought the goal nearer.
    pub fn goal_moved(&self) -> bool {
        self.goal.as_ref().is_some_and(|goal| goal.updated_at_ms == self.at.0)
    }

    /// The record that marks the thread as unread: from its last turn on, or from its beginning if no turn is in
    /// memory.
    pub fn unread(&self) -> ThreadRead {
        match self.turns.last() {
            Some(held) => {
                let turn_id = held.turn.id.clone();
                ThreadRead {
                    first_unread: Some(ThreadUnreadPosition::Turn { turn_id }),
                    since: Some(held.at),
                }
            }
            None => ThreadRead { first_unread: Some(ThreadUnreadPosition::ThreadStart), since: None },
        }
    }

    pub(super) fn marked(&mut self, read: &ThreadRead, seq: EventSeq) {
        self.read =
            ReadPosition { first_unread: read.first_unread.clone(), since: read.since, revision: seq };
    }

    /// Takes read position and goal from the end of a turn, which knows everything before it.
    pub(super) fn take_user_state(&mut self, header: &ThreadHeader) {
        if let Some(read) = &header.read {
            self.read = read.clone();
        }
        self.goal.clone_from(&header.goal);
    }

    /// Notes the end of an unread turn. A turn that was imported, or written by an earlier version, counts as read.
    pub(super) fn ended_unread(&mut self, turn: &TurnId, header: &ThreadHeader, seq: EventSeq) {
        if header.read.is_none() {
            return;
        }
        self.read.revision = seq;
        if self.read.first_unread.is_none() {
            let first_unread = Some(ThreadUnreadPosition::Turn { turn_id: turn.clone() });
            self.read = ReadPosition { first_unread, since: Some(seq), revision: seq };
        }
    }

    /// Forgets the turns from record `from` on: reverted turns cannot be unread.
    pub(super) fn unmark_from(&mut self, from: EventSeq, seq: EventSeq) {
        if self.read.since.is_some_and(|since| since >= from) {
            self.read = ReadPosition { revision: seq, ..ReadPosition::default() };
        }
    }

    /// Counts used tokens for the goal. `usage` is that of the whole thread.
    pub(super) fn used_for_goal(&mut self, usage: &ThreadTokenUsage) {
        let before = self.usage.map_or(0, |before| before.total.total_tokens);
        let used = usage.total.total_tokens.saturating_sub(before).max(0);
        if let Some(goal) = self.goal.as_mut().filter(|goal| goal.status == ThreadGoalStatus::Active) {
            goal.tokens_used = goal.tokens_used.saturating_add(used);
        }
    }

    /// Counts the milliseconds of a turn that has ended.
    pub(super) fn worked_for_goal(&mut self, took_ms: i64, at: WallMs) {
        let Some(goal) = self.goal.as_mut().filter(|goal| goal.status == ThreadGoalStatus::Active) else {
            return;
        };
        goal.time_used_ms = goal.time_used_ms.saturating_add(took_ms);
        goal.updated_at_ms = at.0;
        if goal.token_budget.is_some_and(|budget| goal.tokens_used >= budget) {
            goal.status = ThreadGoalStatus::BudgetLimited;
        }
    }
}

#[cfg(test)]
mod tests {
    use skein_protocol::event::TokenUsageBreakdown;
    use skein_protocol::turn::{TurnStatus, UserInput};

    use super::*;
    use crate::rollout::record::{GoalChanged, Record, RecordBody, TurnCompleted, TurnStarted, TurnUsage};

    /// A history and the records that tests add, a second apart.
    struct TestHistory(History);

    impl TestHistory {
        fn add(&mut self, body: impl Into<RecordBody>) {
            let seq = self.0.seq().next();
            let at = WallMs(i64::try_from(seq.0).unwrap() * 1_000);
            self.0.apply(&Record { seq, at, body: body.into() });
        }

        /// A turn of two seconds. `total` is the thread's token usage at its end.
        fn turn(&mut self, name: &str, total: i64) {
            let turn_id: TurnId = name.into();
            let input = vec![UserInput::text("words")];
            self.add(TurnStarted {
                turn_id: turn_id.clone(),
                input,
                item_id: None,
                client_id: None,
                terms: None,
            });
            let total = TokenUsageBreakdown { total_tokens: total, ..TokenUsageBreakdown::default() };
            let usage = ThreadTokenUsage { last: total, total, model_context_window: None };
            self.add(TurnUsage { turn_id: turn_id.clone(), usage });
            let header = self.0.header();
            let (started_at_ms, status, error, place) = (None, TurnStatus::Completed, None, None);
            self.add(TurnCompleted { turn_id, started_at_ms, status, error, unsaved: false, header, place });
        }

        fn goal(&mut self, token_budget: Option<i64>) {
            let goal = Goal {
                objective: "the moon".to_owned(),
                status: ThreadGoalStatus::Active,
                token_budget,
                tokens_used: 0,
                time_used_ms: 0,
                created_at_ms: 0,
                updated_at_ms: 0,
            };
            self.add(GoalChanged { goal: Some(goal) });
        }

        fn counted(&self) -> (i64, i64, ThreadGoalStatus) {
            let goal = self.0.goal().unwrap();
            (goal.tokens_used, goal.time_used_ms, goal.status)
        }
    }

    #[test]
    fn tokens_and_time_count_for_a_goal_while_it_is_active_and_within_its_budget() {
        let mut history = TestHistory(History::default());
        history.turn("before", 100);
        history.goal(Some(70));
        history.turn("one", 150);
        assert_eq!(history.counted(), (50, 2_000, ThreadGoalStatus::Active));
        assert!(history.0.goal_moved());
        history.turn("two", 170);
        assert_eq!(history.counted(), (70, 4_000, ThreadGoalStatus::BudgetLimited));
        history.turn("three", 500);
        assert_eq!(history.counted(), (70, 4_000, ThreadGoalStatus::BudgetLimited));
        assert!(!history.0.goal_moved());
    }

    #[test]
    fn a_reader_of_the_end_of_a_turn_knows_the_same() {
        let mut history = TestHistory(History::default());
        history.goal(None);
        history.turn("one", 50);
        let header = history.0.header();
        let mut late = TestHistory(History::default());
        late.0.leap(&header, history.0.seq().next());
        for history in [&mut history, &mut late] {
            history.turn("two", 80);
        }
        assert_eq!(history.counted(), (80, 4_000, ThreadGoalStatus::Active));
        assert_eq!((late.0.goal(), late.0.read_position()), (history.0.goal(), history.0.read_position()));
    }

    #[test]
    fn imported_turns_and_turns_of_earlier_versions_count_as_read() {
        let mut history = TestHistory(History::default());
        let turn_id: TurnId = "old".into();
        let header = ThreadHeader { read: None, ..history.0.header() };
        let (started_at_ms, status, error, place) = (None, TurnStatus::Completed, None, None);
        history.add(TurnCompleted { turn_id, started_at_ms, status, error, unsaved: false, header, place });
        assert_eq!(history.0.read_position(), &ReadPosition::default());
        history.turn("new", 2);
        let turn_id: TurnId = "new".into();
        assert_eq!(history.0.read_position().first_unread, Some(ThreadUnreadPosition::Turn { turn_id }));
    }
}
