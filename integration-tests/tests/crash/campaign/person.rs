//! A user who remembers all acknowledged work, and the request in flight at the kill.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{agent_text, user_text};
use skein_integration_tests::seed::Seed;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId, TurnId};
use skein_protocol::methods::{ThreadArchive, ThreadNameSet, ThreadRevert, ThreadUnarchive};
use skein_protocol::thread::{
    Thread, ThreadArchiveParams, ThreadListParams, ThreadRevertParams, ThreadSetNameParams,
    ThreadUnarchiveParams,
};
use skein_protocol::turn::{Turn, TurnStatus};
use tokio::sync::watch;

/// The moment of the kill: the number of acknowledgements before it, and whether it has come.
#[derive(Debug, Default)]
pub(super) struct Moment(watch::Sender<(u64, bool)>);

impl Moment {
    pub(super) fn acknowledged(&self) {
        self.0.send_modify(|(count, _)| *count += 1);
    }

    pub(super) async fn until(&self, count: u64) -> Result<()> {
        self.0.subscribe().wait_for(|(so_far, _)| *so_far >= count).await?;
        Ok(())
    }

    pub(super) fn comes(&self) {
        self.0.send_modify(|(_, came)| *came = true);
    }

    fn came(&self) -> bool {
        self.0.borrow().1
    }
}

/// An acknowledged turn.
#[derive(Debug, Clone)]
struct Known {
    id: TurnId,
    text: String,
    /// The agent's message, once the client was notified of the turn's end.
    reply: Option<Option<String>>,
}

/// A request without an answer.
#[derive(Debug, Clone, PartialEq)]
enum Asked {
    Nothing,
    Turn(String),
    Name(String),
    Archive(bool),
    /// Only this many turns stay.
    Revert(usize),
}

/// The acknowledged state of a thread.
#[derive(Debug)]
struct Remembered {
    id: ThreadId,
    turns: Vec<Known>,
    name: Option<String>,
    archived: bool,
    epoch: Option<Epoch>,
    seq: EventSeq,
    asked: Asked,
}

#[derive(Debug)]
pub(super) struct Person {
    seed: Seed,
    threads: Vec<Remembered>,
    number: u64,
    acknowledged: usize,
}

impl Person {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, threads: Vec::new(), number: 0, acknowledged: 0 }
    }

    /// Number of acknowledged turns.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Acts until the server is killed.
    pub(super) async fn live(&mut self, address: &str, moment: &Moment) -> Result<()> {
        let lived = self.go_on(address, moment).await;
        match lived {
            Err(_) if moment.came() => Ok(()),
            Err(error) => Err(error.context("before the kill")),
            Ok(never) => never,
        }
    }

    async fn go_on(&mut self, address: &str, moment: &Moment) -> Result<Result<()>> {
        let mut client = Client::numbered(address).await?;
        for at in 0..self.threads.len() {
            if !self.threads[at].archived {
                client.resume(self.threads[at].id).await?;
            }
        }
        loop {
            if self.threads.is_empty() || (self.threads.len() < 6 && self.seed.percent(10)) {
                self.begin(&mut client).await?;
            }
            let at = usize::try_from(self.seed.below(self.threads.len() as u64))?;
            if self.threads[at].archived {
                self.bring_back(&mut client, at).await?;
            } else {
                self.act(&mut client, at, moment).await?;
            }
            self.threads[at].asked = Asked::Nothing;
            moment.acknowledged();
        }
    }

    async fn begin(&mut self, client: &mut Client) -> Result<()> {
        let id = client.start_thread().await?.id;
        let (turns, name, archived, epoch, seq) = (Vec::new(), None, false, None, EventSeq(0));
        self.threads.push(Remembered { id, turns, name, archived, epoch, seq, asked: Asked::Nothing });
        Ok(())
    }

    async fn act(&mut self, client: &mut Client, at: usize, moment: &Moment) -> Result<()> {
        self.number += 1;
        let turns = self.threads[at].turns.len();
        // Nothing is on disk before the first turn.
        match if turns == 0 { 99 } else { self.seed.below(20) } {
            0 | 1 => self.name(client, at).await,
            2 => self.put_aside(client, at).await,
            3 if turns > 1 => self.take_back(client, at).await,
            _ => self.converse(client, at, moment).await,
        }
    }

    async fn converse(&mut self, client: &mut Client, at: usize, moment: &Moment) -> Result<()> {
        let number = self.number;
        let text = match self.seed.below(6) {
            0 | 1 => format!("some words, the {number}th"),
            2 | 3 => format!("/stream {} {}", 1 + self.seed.below(60), 8 + self.seed.below(300)),
            4 => format!("/stream {} 30 3000", 5 + self.seed.below(60)),
            _ => format!("/tool helper echo {{\"text\":\"the {number}th\"}}\n/tool helper pid"),
        };
        self.threads[at].asked = Asked::Turn(text.clone());
        let id = client.start_turn(self.threads[at].id, &text).await?;
        self.acknowledged += 1;
        let thread = &mut self.threads[at];
        thread.asked = Asked::Nothing;
        thread.turns.push(Known { id: id.clone(), text, reply: None });
        moment.acknowledged();
        let ended = client.turn_end(&id).await?;
        ensure!(ended.status == TurnStatus::Completed, "a turn has ended with {ended:?}");
        let reply = client.reply_text(&id)?;
        let numbers = client.record().iter().filter_map(|message| {
            let about = message.value()["params"]["threadId"].as_str()?.parse::<ThreadId>().ok()?;
            (about == thread.id).then(|| message.value()["seq"].as_u64()).flatten()
        });
        thread.seq = thread.seq.max(EventSeq(numbers.max().context("no numbers")?));
        thread.turns.last_mut().context("it was pushed")?.reply = Some(reply);
        Ok(())
    }

    async fn name(&mut self, client: &mut Client, at: usize) -> Result<()> {
        let name = format!("name {}", self.number);
        let thread = &mut self.threads[at];
        thread.asked = Asked::Name(name.clone());
        let params = ThreadSetNameParams { name: name.clone(), thread_id: thread.id };
        client.call::<ThreadNameSet>(params).await?;
        thread.name = Some(name);
        Ok(())
    }

    async fn put_aside(&mut self, client: &mut Client, at: usize) -> Result<()> {
        let thread = &mut self.threads[at];
        thread.asked = Asked::Archive(true);
        client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: thread.id }).await?;
        thread.archived = true;
        Ok(())
    }

    async fn bring_back(&mut self, client: &mut Client, at: usize) -> Result<()> {
        let thread = &mut self.threads[at];
        thread.asked = Asked::Archive(false);
        client.call::<ThreadUnarchive>(ThreadUnarchiveParams { thread_id: thread.id }).await?;
        (thread.archived, thread.asked) = (false, Asked::Nothing);
        client.resume(thread.id).await?;
        Ok(())
    }

    async fn take_back(&mut self, client: &mut Client, at: usize) -> Result<()> {
        let keep = 1 + self.seed.below(self.threads[at].turns.len() as u64 - 1);
        let keep = usize::try_from(keep)?;
        let thread = &mut self.threads[at];
        thread.asked = Asked::Revert(keep);
        let before_turn_id = thread.turns[keep].id.clone();
        let params = ThreadRevertParams { before_turn_id, thread_id: thread.id };
        let shown = client.call::<ThreadRevert>(params).await?;
        thread.turns.truncate(keep);
        thread.epoch = Some(shown.skein.context("a snapshot")?.epoch);
        Ok(())
    }

    /// Checks that all acknowledged work is present and listed. The request in flight may have taken effect
    /// or not; afterwards the person knows.
    pub(super) async fn check(&mut self, client: &mut Client, home: &Home) -> Result<()> {
        let lists = [listed(client, None).await?, listed(client, Some(true)).await?];
        let mut kept = Vec::new();
        for mut thread in self.threads.drain(..) {
            let [ordinary, archived] = lists.each_ref().map(|list| list.contains(&thread.id));
            let wanted = !thread.turns.is_empty();
            if !ordinary && !archived && !wanted {
                // The server has not acknowledged that the thread is on disk.
                continue;
            }
            let found = thread.check(client, home, [ordinary, archived]).await;
            found.with_context(|| format!("{thread:#?}"))?;
            kept.push(thread);
        }
        self.threads = kept;
        Ok(())
    }
}

/// Every thread of a list.
async fn listed(client: &mut Client, archived: Option<bool>) -> Result<Vec<ThreadId>> {
    let params = ThreadListParams { archived, ..ThreadListParams::default() };
    Ok(client.list_all(params).await?.iter().map(|thread| thread.id).collect())
}

impl Remembered {
    async fn check(&mut self, client: &mut Client, home: &Home, lists: [bool; 2]) -> Result<()> {
        let archived = match lists {
            [true, false] => false,
            [false, true] => true,
            [true, true] => bail!("the thread is in both lists"),
            [false, false] => bail!("the thread is in no list"),
        };
        ensure!(
            archived == self.archived || self.asked == Asked::Archive(archived),
            "the thread is in the wrong list"
        );
        self.archived = archived;
        let read = client.read_thread(self.id).await?;
        self.check_turns(&read).context("read")?;
        self.check_name(&read)?;
        if archived {
            return self.check_lines(home).await;
        }
        let resumed = client.resume(self.id).await?;
        self.check_turns(&resumed.thread).context("resumed")?;
        let seen = resumed.skein.context("a snapshot")?;
        ensure!(seen.seq >= self.seq, "the history ends at {}, but {} was acknowledged", seen.seq, self.seq);
        let reverting = matches!(self.asked, Asked::Revert(_));
        let goes_on = self.epoch.is_none_or(|epoch| epoch == seen.epoch || (reverting && epoch < seen.epoch));
        ensure!(goes_on, "epoch {:?} changed to {}", self.epoch, seen.epoch);
        (self.seq, self.epoch) = (seen.seq, Some(seen.epoch));
        self.turns = resumed.thread.turns.iter().map(known).collect();
        self.name.clone_from(&resumed.thread.name);
        client.unload(self.id, true).await?;
        self.check_lines(home).await?;
        self.asked = Asked::Nothing;
        Ok(())
    }

    fn check_turns(&self, shown: &Thread) -> Result<()> {
        let whole = self.agrees(&self.turns, &shown.turns);
        match self.asked {
            Asked::Revert(keep) if whole.is_err() => self.agrees(&self.turns[..keep], &shown.turns),
            Asked::Nothing | Asked::Turn(_) | Asked::Name(_) | Asked::Archive(_) | Asked::Revert(_) => whole,
        }
    }

    fn agrees(&self, known: &[Known], shown: &[Turn]) -> Result<()> {
        ensure!(shown.len() >= known.len(), "{} of {} turns are there", shown.len(), known.len());
        let (published, rest) = shown.split_at(known.len());
        for (known, shown) in known.iter().zip(published) {
            ensure!(known.id == shown.id, "turn {} replaces turn {}", shown.id, known.id);
            ensure!(shown.status != TurnStatus::InProgress, "turn {} is open", shown.id);
            let text: Vec<String> = shown.items.iter().filter_map(user_text).collect();
            ensure!(text == [known.text.as_str()], "the turn has {text:?}, not {:?}", known.text);
            if let Some(reply) = &known.reply {
                let shows = shown.items.iter().filter_map(agent_text).next_back();
                let ended = known_to_end(shown.status);
                ensure!(
                    ended && shows == *reply,
                    "turn {} ended with {reply:?}, but shows {shown:#?}",
                    known.id
                );
            }
        }
        match (rest, &self.asked) {
            ([], _) => Ok(()),
            ([one], Asked::Turn(asked)) => {
                let text: Vec<String> = one.items.iter().filter_map(user_text).collect();
                ensure!(text == [asked.as_str()], "the turn has {text:?}, but the request was {asked:?}");
                Ok(())
            }
            (more, _) => bail!("unknown turns: {more:#?}"),
        }
    }

    fn check_name(&self, shown: &Thread) -> Result<()> {
        let asked = matches!(&self.asked, Asked::Name(name) if shown.name.as_ref() == Some(name));
        ensure!(shown.name == self.name || asked, "its name is {:?}", shown.name);
        Ok(())
    }

    /// Numbers rise by one from the first line to the last.
    async fn check_lines(&self, home: &Home) -> Result<()> {
        let path = self.rollout(home);
        let text = if home.has_database() {
            home.skein(&["export", &self.id.to_string()]).await?
        } else {
            fs::read_to_string(&path).with_context(|| path.display().to_string())?
        };
        for (number, line) in (1u64..).zip(text.lines()) {
            let record: serde_json::Value = serde_json::from_str(line)?;
            ensure!(record["seq"].as_u64() == Some(number), "line {number} is {line}");
        }
        Ok(())
    }

    fn rollout(&self, home: &Home) -> PathBuf {
        let kept = home.rollout(self.id);
        let Ok(below) = kept.strip_prefix(home.path().join("threads")) else { return kept };
        if self.archived { home.path().join("archived").join(below) } else { kept.clone() }
    }
}

fn known_to_end(status: TurnStatus) -> bool {
    match status {
        TurnStatus::Completed | TurnStatus::Interrupted => true,
        TurnStatus::Failed | TurnStatus::InProgress => false,
    }
}

fn known(turn: &Turn) -> Known {
    let text = turn.items.iter().filter_map(user_text).collect::<Vec<_>>().join("\n");
    let reply = Some(turn.items.iter().filter_map(agent_text).next_back());
    Known { id: turn.id.clone(), text, reply }
}
