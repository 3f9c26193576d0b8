//! The owner with all its parts, over a store and a model that each test controls. Connections are outboxes: tests read there
//! the messages that would go over the wire.
//!
//! No test sleeps. Tests in memory run on paused time. Tests on files use a layer that can hold and fail operations.

pub(crate) mod bench;
pub(crate) mod client;
mod compactions;
mod consent;
mod conversations;
mod model;

mod access;
mod agreement;
mod answers;
mod budgets;
mod checkpoints;
mod client_tools;
mod edits;
mod evictions;
mod expiry;
mod failures;
mod fences;
mod forks;
mod going_on;
mod helper_notes;
mod lasting;
mod limits;
mod lives;
mod loads;
pub(crate) mod message;
mod messages;
mod numbers;
mod observers;
mod panics;
mod params;
mod plans;
mod power;
mod question_feed;
mod questions;
mod queue;
mod rebuilds;
mod reloads;
mod relocations;
mod repairs;
mod repeats;
mod replays;
mod requests;
mod resumes;
mod simulation;
mod steers;
mod storage_away;
mod summaries;
mod surroundings;
mod turns;
mod unloads;
mod user_state;
mod withdrawals;

use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::turn::Turn;

use bench::{Bench, SOON};
use client::Client;
use message::Message;

/// A thread with a turn for each of the texts, and a subscriber.
async fn talked(bench: &Bench, texts: &[&str]) -> (Client, ThreadId, Vec<TurnId>) {
    let (mut client, thread) = bench.started().await;
    let mut turns = Vec::new();
    for text in texts {
        turns.push(client.turn(thread, text).await.turn.id);
    }
    (client, thread, turns)
}

/// As [`talked`], but the client has left, and the thread is unloaded.
async fn talked_and_left(bench: &Bench, texts: &[&str]) -> (ThreadId, Vec<TurnId>) {
    let (client, thread, turns) = talked(bench, texts).await;
    client.disconnect();
    bench.gone(thread).await;
    (thread, turns)
}

fn ids(turns: &[Turn]) -> Vec<TurnId> {
    turns.iter().map(|turn| turn.id.clone()).collect()
}
