//! What the user has read, and what the thread is to reach. Pure.

use skein_base::clock::WallMs;
use skein_protocol::event::ThreadTokenUsage;
use skein_protocol::ids::{EventSeq, TurnId};
use skein_protocol::thread::{ThreadGoalStatus, ThreadUnreadPosition};

use super::History;
use crate::rollout::record::{Goal, ReadPosition, ThreadHeader, ThreadRead};

impl History {
    /// What the user has read.
    #[must_use]
    pub fn read_position(&self) -> &ReadPosition {
        &self.read
    }

    /// What the thread is to reach.
    #[must_use]
    pub fn goal(&self) -> Option<&Goal> {
        self.goal.as_ref()
    }

    /// Whether the last record has brought the goal nearer.
    #[must_use]
    pub fn goal_moved(&self) -> bool {
        self.goal.as_ref().is_some_and(|goal| goal.updated_at_ms == self.at.0)
    }

    /// The record that marks the thread as unread: from its last turn on, or from its beginning where none is held.
    #[must_use]
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

    /// What the end of a turn says of both: all that stands before it.
    pub(super) fn take_user_state(&mut self, header: &ThreadHeader) {
        if let Some(read) = &header.read {
            self.read = read.clone();
        }
        self.goal.clone_from(&header.goal);
    }

    /// A turn has ended that nobody has read yet. One that was imported, or written by an earlier version of the server, counts
    /// as read.
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

    /// Turns from the record `from` on are gone: they cannot be unread.
    pub(super) fn unmark_from(&mut self, from: EventSeq, seq: EventSeq) {
        if self.read.since.is_some_and(|since| since >= from) {
            self.read = ReadPosition { revision: seq, ..ReadPosition::default() };
        }
    }

    /// Counts what the model has used for the goal. `usage` is of the whole thread.
    pub(super) fn used_for_goal(&mut self, usage: &ThreadTokenUsage) {
        let before = self.usage.map_or(0, |before| before.total.total_tokens);
        let used = usage.total.total_tokens.saturating_sub(before).max(0);
        if let Some(goal) = self.goal.as_mut().filter(|goal| goal.status == ThreadGoalStatus::Active) {
            goal.tokens_used = goal.tokens_used.saturating_add(used);
        }
    }

    /// A turn has ended that took so many milliseconds.
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
    use crate::rollout::record::{Record, RecordBody, ThreadGoal, TurnCompleted, TurnStarted, Usage};

    /// A history, and what is added to it, a second later each time.
    struct Story(History);

    impl Story {
        fn add(&mut self, body: impl Into<RecordBody>) {
            let seq = self.0.seq().next();
            let at = WallMs(i64::try_from(seq.0).unwrap() * 1_000);
            self.0.apply(&Record { seq, at, body: body.into() });
        }

        /// A turn of two seconds. `total` is what the thread has used then.
        fn turn(&mut self, name: &str, total: i64) {
            let turn_id: TurnId = name.into();
            let input = vec![UserInput::text("words")];
            self.add(TurnStarted { turn_id: turn_id.clone(), input, item_id: None, client_id: None });
            let total = TokenUsageBreakdown { total_tokens: total, ..TokenUsageBreakdown::default() };
            let usage = ThreadTokenUsage { last: total, total, model_context_window: None };
            self.add(Usage { turn_id: turn_id.clone(), usage });
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
            self.add(ThreadGoal { goal: Some(goal) });
        }

        fn counted(&self) -> (i64, i64, ThreadGoalStatus) {
            let goal = self.0.goal().unwrap();
            (goal.tokens_used, goal.time_used_ms, goal.status)
        }
    }

    #[test]
    fn tokens_and_time_count_for_a_goal_while_it_is_active_and_within_its_budget() {
        let mut story = Story(History::default());
        story.turn("before", 100);
        story.goal(Some(70));
        story.turn("one", 150);
        assert_eq!(story.counted(), (50, 2_000, ThreadGoalStatus::Active));
        assert!(story.0.goal_moved());
        story.turn("two", 170);
        assert_eq!(story.counted(), (70, 4_000, ThreadGoalStatus::BudgetLimited));
        story.turn("three", 500);
        assert_eq!(story.counted(), (70, 4_000, ThreadGoalStatus::BudgetLimited));
        assert!(!story.0.goal_moved());
    }

    #[test]
    fn who_reads_only_the_end_of_a_turn_knows_the_same() {
        let mut story = Story(History::default());
        story.goal(None);
        story.turn("one", 50);
        let header = story.0.header();
        let mut late = Story(History::default());
        late.0.leap(&header, story.0.seq().next());
        for story in [&mut story, &mut late] {
            story.turn("two", 80);
        }
        assert_eq!(story.counted(), (80, 4_000, ThreadGoalStatus::Active));
        assert_eq!((late.0.goal(), late.0.read_position()), (story.0.goal(), story.0.read_position()));
    }

    #[test]
    fn what_was_imported_or_written_before_marks_existed_counts_as_read() {
        let mut story = Story(History::default());
        let turn_id: TurnId = "old".into();
        let header = ThreadHeader { read: None, ..story.0.header() };
        let (started_at_ms, status, error, place) = (None, TurnStatus::Completed, None, None);
        story.add(TurnCompleted { turn_id, started_at_ms, status, error, unsaved: false, header, place });
        assert_eq!(story.0.read_position(), &ReadPosition::default());
        story.turn("new", 2);
        let turn_id: TurnId = "new".into();
        assert_eq!(story.0.read_position().first_unread, Some(ThreadUnreadPosition::Turn { turn_id }));
    }
}
