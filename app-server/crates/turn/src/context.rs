//! The context that a model reads before a conversation: where the thread works, the `AGENTS.md` files, and the mode.
//! Each request begins with it. The rollout and summaries leave it out. Its text stays the same while its facts do, so
//! that providers can cache the prompt.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use skein_base::clock::{Clock, WallMs};
use skein_base::tasks::{BlockingPool, Tasks};
use skein_config::DocsPolicy;
use skein_provider::{Content, Entry, Prompt};

use super::surroundings::{Doc, Surroundings};
use super::{Report, Stop, TurnRun, abilities};
use crate::policy;

/// The facts that a model gets before the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnContext {
    /// The thread's working directory; empty if it has none.
    pub cwd: String,
    /// Whether the model gets place and date.
    pub environment: bool,
    /// Limits and names of the files to read.
    pub docs: DocsPolicy,
    /// The result of an earlier look at the directory.
    pub known: Option<Arc<Surroundings>>,
    /// Notes of the client or of Skein, such as those on helpers. Each becomes a text of its own.
    pub notes: Vec<String>,
}

/// Looks around in `cwd` for at most `patience`: the disk may not answer.
pub async fn look(
    tasks: &Tasks,
    cwd: String,
    docs: DocsPolicy,
    patience: Duration,
) -> Option<Arc<Surroundings>> {
    let at = cwd.clone();
    let looking = tasks.blocking("context", BlockingPool::Context, move || Surroundings::read(&at, &docs));
    match tokio::time::timeout(patience, looking).await {
        Ok(found) => found.ok().map(Arc::new),
        Err(_) => {
            tracing::warn!(
                cwd,
                ?patience,
                "the working directory does not answer; the model gets no context on it"
            );
            None
        }
    }
}

impl TurnRun {
    /// Gathers the context. Looks at a known directory only once.
    pub(crate) async fn look_around(&mut self) -> Result<(), Stop> {
        let TurnContext { cwd, environment, docs, known, .. } = self.job.context.clone();
        let wanted = environment || docs.most > 0;
        let known = known.filter(|known| known.cwd == cwd);
        let found = match known {
            None if wanted && self.job.provider.reads_context() => {
                let looking = look(&self.job.tasks, cwd, docs, policy::CONTEXT_PATIENCE);
                let found = self.unless_interrupted(looking).await?;
                if let Some(found) = &found {
                    self.report(Report::Surroundings(Arc::clone(found))).await;
                }
                found
            }
            known => known.filter(|_| wanted),
        };
        self.before = entries(&self.job.context, found.as_deref(), &today(self.job.clock));
        Ok(())
    }

    /// The request's prompt: with the context, and without content that the model does not accept.
    pub(crate) fn as_sent(&self, mut prompt: Prompt) -> Prompt {
        prompt.history.splice(0..0, self.before.iter().cloned());
        if self.job.terms.images == Some(false) {
            abilities::without_images(&mut prompt.history, &self.job.recipient.model);
        }
        prompt
    }
}

/// The date in UTC. Without a time, the prompt stays the same all day.
fn today(clock: Clock) -> String {
    let WallMs(now) = clock.wall();
    let now = Timestamp::from_millisecond(now).unwrap_or_default();
    now.to_zoned(TimeZone::UTC).date().to_string()
}

/// The most stable parts come first, because providers cache the beginning.
fn entries(context: &TurnContext, found: Option<&Surroundings>, today: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    if context.environment {
        entries.push(Entry::Developer(environment(context, found, today)));
    }
    entries.extend(context.notes.iter().cloned().map(Entry::Developer));
    let docs = found.map(|found| found.docs.as_slice()).unwrap_or_default();
    if !docs.is_empty() {
        entries.push(Entry::User(vec![Content::Text(instructions(&context.cwd, docs))]));
    }
    entries
}

fn environment(context: &TurnContext, found: Option<&Surroundings>, today: &str) -> String {
    let repository = match found.map(|found| &found.repository) {
        Some(Some(root)) => {
            format!("\n  <git_repository>{}</git_repository>", plain(&root.to_string_lossy()))
        }
        Some(None) => "\n  <git_repository>none</git_repository>".to_owned(),
        None => String::new(),
    };
    format!(
        "<environment_context>\n  <cwd>{}</cwd>{repository}\n  <platform>{} {}</platform>\n  \
         <current_date>{today}</current_date>\n  <timezone>UTC</timezone>\n</environment_context>",
        plain(&context.cwd),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

/// A path without characters that could end its tag.
fn plain(path: &str) -> String {
    let one = |c: char| if c.is_control() || matches!(c, '<' | '>') { '?' } else { c };
    path.chars().map(one).collect()
}

/// The peer's format: the home's file, a separator, then the files of the repository.
fn instructions(cwd: &str, docs: &[Doc]) -> String {
    let texts = |of_home: bool| {
        let texts = docs.iter().filter(|doc| doc.of_home == of_home).map(|doc| doc.text.as_str());
        texts.collect::<Vec<_>>().join("\n\n")
    };
    let parts: Vec<String> =
        [texts(true), texts(false)].into_iter().filter(|text| !text.is_empty()).collect();
    let text = parts.join("\n\n--- project-doc ---\n\n");
    format!("# AGENTS.md instructions for {}\n\n<INSTRUCTIONS>\n{text}\n</INSTRUCTIONS>", plain(cwd))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> TurnContext {
        TurnContext {
            cwd: "/repo/sub".to_owned(),
            environment: true,
            docs: DocsPolicy { home: "/home".into(), most: 1, fallback: Vec::new() },
            known: None,
            notes: vec!["a note".to_owned()],
        }
    }

    fn found() -> Surroundings {
        let doc = |path: &str, of_home| Doc { path: path.into(), text: format!("of {path}"), of_home };
        let docs = vec![doc("/home/AGENTS.md", true), doc("/repo/AGENTS.md", false)];
        Surroundings { cwd: "/repo/sub".to_owned(), repository: Some("/repo".into()), docs }
    }

    #[test]
    fn a_model_reads_where_it_works_and_the_text_of_the_files() {
        let context = entries(&context(), Some(&found()), "2026-11-21");
        let [Entry::Developer(environment), Entry::Developer(note), Entry::User(docs)] = &context[..] else {
            panic!("{context:?}")
        };
        for part in ["<cwd>/repo/sub</cwd>", "<git_repository>/repo</", "<current_date>2026-11-21</"] {
            assert!(environment.contains(part), "{environment}");
        }
        assert!(environment.contains(std::env::consts::OS));
        assert_eq!(note, "a note");
        let docs = docs[0].as_text().unwrap();
        assert!(docs.starts_with("# AGENTS.md instructions for /repo/sub\n"), "{docs}");
        assert!(docs.contains("of /home/AGENTS.md\n\n--- project-doc ---\n\nof /repo/AGENTS.md"), "{docs}");
    }

    #[test]
    fn unwanted_or_unknown_context_is_left_out() {
        let nothing = TurnContext { environment: false, notes: Vec::new(), ..context() };
        assert_eq!(entries(&nothing, None, "2026-11-21"), []);
        let context = entries(&context(), None, "2026-11-21");
        let Entry::Developer(environment) = &context[0] else { panic!("{context:?}") };
        assert!(!environment.contains("git_repository"), "{environment}");
        let odd = TurnContext { cwd: "/a\n</cwd>".to_owned(), ..nothing };
        assert!(super::environment(&odd, None, "").contains("<cwd>/a??/cwd?</cwd>"));
    }
}
