//! The cost of large messages: a thread with its texts beside its rollout, and the same thread with all texts
//! inside its lines, as in old rollouts.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use skein_base::tasks::Tasks;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::home::HomePaths;
use skein_store::rollout::file::layer::DiskLayer;
use skein_store::rollout::file::{FileStore, TurnOffsets};
use skein_store::rollout::record::{RecordBody, TurnPlace};
use skein_store::rollout::{RolloutStore, line};

use super::Plan;
use super::homes::{self, Disk, Place};
use super::reads;
use super::report::{Resume, quantile};
use super::served::Served;

/// The messages of a thread. All of them differ.
#[derive(Debug, Clone, Copy)]
pub struct Messages {
    /// Number of messages.
    pub count: u32,
    /// Length of each message, bytes.
    pub bytes: usize,
}

/// The figures of one form of the thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    /// Where the texts are.
    pub name: String,
    /// Disk usage of the rollout.
    pub rollout: Disk,
    /// Disk usage of the texts beside it.
    pub blobs: Disk,
    /// Resumes on a freshly started server.
    pub resume: Resume,
}

/// Figures of both forms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Texts(pub Vec<Form>);

/// Makes the thread again and measures both of its forms.
///
/// # Errors
/// Fails if a home cannot be made, or a server does not start or stop.
pub async fn measure(plan: &Plan, messages: Messages) -> Result<Texts> {
    let beside = home(plan, "texts-beside")?;
    let thread = converse(plan, &beside, messages).await?;
    let lines = home(plan, "texts-in-lines")?;
    in_lines(&beside.home, &lines.home, thread).await?;
    let mut forms = Vec::new();
    for (name, place) in [("in its lines", lines), ("beside it", beside)] {
        let mut form = Form { name: name.to_owned(), ..Form::default() };
        form.rollout = homes::disk(&place.home.join("threads"))?;
        let blobs = place.home.join("blobs");
        form.blobs = if blobs.exists() { homes::disk(&blobs)? } else { Disk::default() };
        for _ in 0..plan.resumes {
            reads::one(plan, &place, thread, &mut form.resume).await?;
        }
        forms.push(form);
    }
    Ok(Texts(forms))
}

fn home(plan: &Plan, name: &'static str) -> Result<Place> {
    let home = plan.cache.join(name);
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("{} cannot be removed", home.display()))?;
    }
    fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
    Ok(Place { name, home, summary: None })
}

/// Sends the messages as a user. Each gets a short answer.
async fn converse(plan: &Plan, place: &Place, messages: Messages) -> Result<ThreadId> {
    let (mut server, _) = Served::start(plan, place).await?;
    let thread = server.client.start_thread().await?.id;
    for number in 0..messages.count {
        let text = format!("{number} ").repeat(messages.bytes / (number.to_string().len() + 1));
        server.client.turn(thread, &format!("/stream 3\n{text}")).await?;
        // No later wait needs these messages.
        server.client.take_all();
    }
    server.stop().await?;
    Ok(thread)
}

/// Copies the records to another home, each with its text inside the line.
async fn in_lines(from: &Path, to: &Path, thread: ThreadId) -> Result<()> {
    let tasks = Tasks::new();
    let store = FileStore::look(&HomePaths::new(from), Arc::new(DiskLayer), tasks.clone());
    let (mut bytes, mut offsets, mut last) = (Vec::new(), TurnOffsets::default(), EventSeq(0));
    loop {
        let page = store.read_after(thread, last, 100).await?;
        for mut record in page.records {
            last = record.seq;
            offsets.note(&record, bytes.len() as u64);
            if let RecordBody::TurnCompleted(completed) = &mut record.body {
                let TurnOffsets { turn, compacted } = offsets;
                completed.place = turn.map(|turn_at| TurnPlace { turn_at, compacted_at: compacted });
            }
            line::encode(&record, &mut bytes)?;
        }
        if !page.more {
            break;
        }
    }
    tasks.finish().await;
    let name = thread.to_string();
    let folder = to.join("threads").join(name.get(name.len() - 2..).unwrap_or_default());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.jsonl")), bytes)?;
    Ok(())
}

impl fmt::Display for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| texts of the thread | rollout | beside it | cold resume | memory it takes | page of turns |"
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for Form { name, rollout, blobs, resume } in &self.0 {
            let ms =
                |took: &[f64]| quantile(took, 0.5).map_or("–".to_owned(), |took| format!("{took:.0} ms"));
            let mb = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
            let mut grown = resume.grown.clone();
            grown.sort_unstable();
            let grown = grown.get(grown.len() / 2).copied().map_or("–".to_owned(), mb);
            writeln!(
                f,
                "| {name} | {} | {} | {} | {grown} | {} |",
                mb(rollout.bytes),
                mb(blobs.bytes),
                ms(&resume.resume_ms),
                ms(&resume.turns_ms),
            )?;
        }
        Ok(())
    }
}
