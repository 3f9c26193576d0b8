//! The requests of a person, and the checks of each answer.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use skein_integration_tests::chaos::{Reading, SentMessage};
use skein_integration_tests::requests::{search_params, turn_params};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadDelete, ThreadFork, ThreadList, ThreadRead, ThreadSearch, TurnStart};
use skein_protocol::thread::{
    SortDirection, ThreadDeleteParams, ThreadForkParams, ThreadListParams, ThreadReadParams,
    ThreadSearchParams, ThreadSearchSortKey, ThreadSortKey,
};
use skein_protocol::turn::TurnStartParams;

use super::{ACKNOWLEDGED, Person, messages};

impl Person {
    /// Sends a message until it is acknowledged.
    pub(super) async fn say(&mut self) -> Result<()> {
        let thread = self.thread;
        self.messages += 1;
        let id = format!("p{}-{}", self.number, self.messages);
        let text = match self.seed.below(20) {
            0 => "/ask Which one?".to_owned(),
            1..4 => "/stream 40 8 40".to_owned(),
            4..6 => "/tool helper echo {\"text\":\"x\"}".to_owned(),
            _rest => id.clone(),
        };
        let params =
            TurnStartParams { client_user_message_id: Some(id.clone()), ..turn_params(thread, &text) };
        let at = self.notes.sent.len();
        self.notes.sent.push(SentMessage { thread, id, asked: Instant::now(), acknowledged: None });
        let deadline = Instant::now() + ACKNOWLEDGED;
        loop {
            ensure!(Instant::now() < deadline, "{:?} is never acknowledged", self.notes.sent[at]);
            let asked = Instant::now();
            match self.ask::<TurnStart>(&params).await? {
                Some(Ok(answer)) => {
                    self.notes.sent[at].acknowledged = Some(Instant::now());
                    if text == self.notes.sent[at].id {
                        self.texts_to_find.push(self.notes.sent[at].clone());
                    }
                    self.named(thread, answer.skein.map(|skein| skein.owner), asked);
                    return Ok(());
                }
                Some(Err(refused)) => self.take_refusal(&refused).await?,
                None => {}
            }
        }
    }

    /// Answers the question that it shows, if there is one.
    pub(super) async fn answer(&mut self) -> Result<()> {
        let window = self.window().await?;
        if window.view.open_question().is_some() && window.answer("the red one").await.is_err() {
            self.drop_connection().await;
        }
        Ok(())
    }

    /// Reads one of the threads.
    pub(super) async fn read(&mut self) -> Result<()> {
        let thread = *self.seed.one_of(&self.threads);
        let asked = Instant::now();
        let params = ThreadReadParams { thread_id: thread, include_turns: true };
        match self.ask::<ThreadRead>(&params).await? {
            Some(Ok(read)) => {
                let messages = messages(&read.thread);
                self.notes.readings.push(Reading { thread, asked, messages, is_whole: true });
                self.named(thread, read.skein.and_then(|skein| skein.owner), asked);
            }
            Some(Err(refused)) => self.take_refusal(&refused).await?,
            None => {}
        }
        Ok(())
    }

    /// Copies a thread, and deletes the copy.
    pub(super) async fn fork(&mut self) -> Result<()> {
        let thread = *self.seed.one_of(&self.threads);
        let asked = Instant::now();
        let fork = match self.ask::<ThreadFork>(&ThreadForkParams::of(thread)).await? {
            Some(Ok(forked)) => {
                let messages = messages(&forked.thread);
                self.notes.readings.push(Reading { thread, asked, messages, is_whole: false });
                forked.thread.id
            }
            // It may have been made: lists have it.
            Some(Err(refused)) if refused.reason() == "forkUnknown" => return Ok(()),
            Some(Err(refused)) => return self.take_refusal(&refused).await,
            None => return Ok(()),
        };
        match self.ask::<ThreadDelete>(&ThreadDeleteParams { thread_id: fork }).await? {
            Some(Err(refused)) if refused.reason() != "moveUnknown" => self.take_refusal(&refused).await,
            Some(Ok(_) | Err(_)) | None => Ok(()),
        }
    }

    /// Lists all threads, page by page: those of the campaign are among them.
    pub(super) async fn list(&mut self) -> Result<()> {
        let (mut cursor, mut listed) = (None, BTreeSet::new());
        loop {
            let params = ThreadListParams {
                cursor,
                limit: Some(u32::try_from(self.threads.len())?),
                sort_key: Some(ThreadSortKey::CreatedAt),
                sort_direction: Some(SortDirection::Asc),
                ..ThreadListParams::default()
            };
            match self.ask::<ThreadList>(&params).await? {
                Some(Ok(page)) => {
                    listed.extend(page.data.iter().map(|thread| thread.id));
                    if page.next_cursor.is_none() {
                        break;
                    }
                    cursor = page.next_cursor;
                }
                Some(Err(refused)) => return self.take_refusal(&refused).await,
                None => return Ok(()),
            }
        }
        ensure!(self.threads.iter().all(|id| listed.contains(id)), "a thread is in no list: {listed:?}");
        Ok(())
    }

    /// Fails with what searches and reads say of a message that stands on none of these pages.
    async fn not_found(&mut self, id: &str, thread: ThreadId, pages: &[Vec<ThreadId>]) -> Result<()> {
        let read =
            self.ask::<ThreadRead>(&ThreadReadParams { thread_id: thread, include_turns: true }).await?;
        let has_it =
            read.map(|read| read.map(|read| messages(&read.thread).iter().any(|message| message == id)));
        let again = self.ask::<ThreadSearch>(&search_params(id)).await?;
        let again = again.map(|found| found.map(|found| found.data.iter().any(|it| it.thread.id == thread)));
        bail!("no search finds {id} in {thread}: {pages:?}; a read has it: {has_it:?}; a search: {again:?}")
    }

    /// Searches for a message that was acknowledged before.
    pub(super) async fn search(&mut self) -> Result<()> {
        if self.texts_to_find.is_empty() {
            return Ok(());
        }
        let SentMessage { id, thread, .. } = self.seed.one_of(&self.texts_to_find).clone();
        let (mut cursor, mut pages) = (None, Vec::new());
        loop {
            // Threads that are used meanwhile stay at their places in this order.
            let (sort_key, sort_direction) = (Some(ThreadSearchSortKey::CreatedAt), Some(SortDirection::Asc));
            let params = ThreadSearchParams { cursor, sort_key, sort_direction, ..search_params(&id) };
            match self.ask::<ThreadSearch>(&params).await? {
                Some(Ok(found)) if found.data.iter().any(|found| found.thread.id == thread) => return Ok(()),
                Some(Ok(found)) => {
                    pages.push(found.data.iter().map(|found| found.thread.id).collect::<Vec<_>>());
                    if found.next_cursor.is_none() {
                        return self.not_found(&id, thread, &pages).await;
                    }
                    cursor = found.next_cursor;
                }
                Some(Err(refused)) => return self.take_refusal(&refused).await,
                None => return Ok(()),
            }
        }
    }
}
