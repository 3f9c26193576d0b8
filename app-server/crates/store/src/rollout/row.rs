//! One thread as lists show it: its history without turns. A store may keep it beside the records that it comes from.

use serde::{Deserialize, Serialize};
use skein_base::clock::WallMs;
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::{GitInfo, SessionSource, Thread, ThreadReadState, ThreadStatus};

use super::Location;
use super::record::{DaySpent, QuestionKind, ReadPosition};
use crate::home::HomePaths;

/// One row of a list of threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadRow {
    /// The thread.
    pub id: ThreadId,
    /// The user's name for it.
    pub name: Option<String>,
    /// The beginning of the first user message.
    pub preview: String,
    /// Its creation time.
    pub created: WallMs,
    /// Its last activity.
    pub updated: WallMs,
    /// Its working directory.
    pub cwd: String,
    /// Its model.
    pub model: String,
    /// The model's provider.
    pub model_provider: String,
    /// How hard the model should think.
    pub reasoning_effort: Option<String>,
    /// The kind of client that created it.
    pub source: SessionSource,
    /// Its creator, in the client's words.
    pub thread_source: Option<String>,
    /// The name of the client that created it.
    pub originator: Option<String>,
    /// The version of the server that created it.
    pub cli_version: String,
    /// The thread whose history it began with.
    pub forked_from: Option<ThreadId>,
    /// Its repository.
    pub git_info: Option<GitInfo>,
    /// Whether it is archived.
    pub archived: bool,
    /// The user's read position; rows of earlier versions have none.
    #[serde(default)]
    pub read: ReadPosition,
    /// The questions that wait for an answer, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitingQuestion>,
    /// The use of models on its last day.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub spent: DaySpent,
}

fn is_nothing(spent: &DaySpent) -> bool {
    *spent == DaySpent::default()
}

/// A question that waits for an answer, as lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingQuestion {
    /// The id of the request to clients.
    pub id: i64,
    /// Its subject.
    pub kind: QuestionKind,
    /// When it was asked.
    pub asked: WallMs,
}

impl ThreadRow {
    /// The thread as lists show it: without turns. Its rollout is in the home at `paths`.
    pub fn thread(&self, status: ThreadStatus, paths: &HomePaths) -> Thread {
        let mut thread =
            Thread::new(self.id, self.cwd.clone(), self.model_provider.clone(), self.created.seconds());
        thread.name.clone_from(&self.name);
        thread.preview.clone_from(&self.preview);
        thread.updated_at = self.updated.seconds();
        thread.recency_at = Some(self.updated.seconds());
        thread.model = Some(self.model.clone()).filter(|model| !model.is_empty());
        thread.reasoning_effort.clone_from(&self.reasoning_effort);
        thread.source = self.source.clone();
        thread.thread_source.clone_from(&self.thread_source);
        thread.originator.clone_from(&self.originator);
        thread.cli_version.clone_from(&self.cli_version);
        thread.forked_from_id = self.forked_from;
        thread.git_info.clone_from(&self.git_info);
        thread.status = status;
        let location = if self.archived { Location::Archived } else { Location::Active };
        thread.path = Some(paths.shown_rollout(location, self.id).to_string_lossy().into_owned());
        thread
    }

    /// The approximate size of its list entry as JSON, in bytes.
    pub fn json_bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }

    /// The read state, as clients see it.
    pub fn read_state(&self) -> ThreadReadState {
        self.read.state()
    }
}
