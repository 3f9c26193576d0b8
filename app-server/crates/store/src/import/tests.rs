use std::fs;

use crate::fsck::{self, FsckNotice};
use crate::history::History;
use crate::index::ThreadIndex;
use crate::index::memory::MemoryIndex;
use crate::rollout::record::ThreadNamed;
use crate::rollout::{Keep, Lease, LogEntry};
use skein_base::clock::WallMs;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::index::changes::Changes;
use crate::testing::{found, peer};
use crate::texts::{Sources, TextIndex};

const CHAT: &str = "01a1f9a4-f790-7202-b781-7c170e66903c";
const TOOLS: &str = "01a1f9a4-f928-7e70-ba37-371aab1fed25";
const OLDER: &str = "01a1f9a4-fc9f-7201-b86f-53ed82a0a312";
const TROUBLES: &str = "01a1f9a4-fff6-7e90-a2ea-74f54a873b59";
const ARCHIVED: &str = "01a1f9a5-01d0-7ff0-bb2b-1c847714ca3b";
const TAKEN_BACK: &str = "01a1f9a5-0294-7340-99b2-753f2a9defa3";
const FORKED: &str = "01a1f9a5-059e-76a3-b0bd-82ccb99028c3";

/// A home of the peer, and an empty home of Skein.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        peer::lay(&dir.path().join("codex")).unwrap();
        Self { dir }
    }

    fn codex(&self) -> PathBuf {
        self.dir.path().join("codex")
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The peer's file with this part in its name.
    fn file(&self, part: &str) -> PathBuf {
        let (path, _) = peer::FILES.iter().find(|(path, _)| path.contains(part)).unwrap();
        self.codex().join(path)
    }

    async fn import(&self) -> ImportReport {
        run(&self.codex(), &self.home(), |_| {}).await.unwrap()
    }

    fn store(&self) -> (Home, FileStore) {
        let home = Home::open(&self.home()).unwrap();
        let store = FileStore::open(home.paths(), Arc::new(DiskLayer), Tasks::new()).unwrap();
        (home, store)
    }

    /// The threads that a server's text index names, after it is up to date.
    async fn found(&self, term: &str) -> Vec<ThreadId> {
        let (home, store) = self.store();
        let index = MemoryIndex::default();
        for thread in store.threads().await.unwrap() {
            let history = History::read(&store, thread).await.unwrap();
            index.upsert(history.row(), history.seq()).await.unwrap();
        }
        let (tasks, stop, changes) = (Tasks::new(), CancellationToken::new(), Arc::<Changes>::default());
        let texts = TextIndex::new(Sources {
            home: home.paths().clone(),
            store: Arc::new(store),
            index: Arc::new(index),
            changes: Arc::clone(&changes),
            others: None,
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let found = found(&texts, &changes, term).await.unwrap();
        stop.cancel();
        tasks.finish().await;
        found.into_iter().map(|(thread, _)| thread).collect()
    }

    /// Adds a message to a thread of the peer.
    fn grow(&self, name: &str, text: &str) {
        let path = self.file(name);
        let before = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = before.lines().collect();
        let began = lines.iter().rposition(|line| line.contains("task_started")).unwrap();
        let more = lines[began..].join("\n").replace(r#""turn_id":"01"#, r#""turn_id":"02"#);
        fs::write(&path, format!("{before}{}\n", more.replace("once more", text))).unwrap();
    }

    async fn history(&self, thread: &str) -> History {
        let (_home, store) = self.store();
        let thread = thread.parse().unwrap();
        let whole = History::read(&store, thread).await.unwrap();
        // A load reads the same.
        let end = History::read_end(&store, thread, 0).await.unwrap();
        assert_eq!((end.row(), end.seq(), end.header()), (whole.row(), whole.seq(), whole.header()));
        assert!(
            whole.is_closed()
                && store.load(thread).await.unwrap().repair == crate::rollout::LoadRepair::default()
        );
        whole
    }
}

fn last_words(turns: &[Turn]) -> &str {
    let mut items = turns.iter().flat_map(|turn| &turn.items).rev();
    items
        .find_map(|item| {
            if let ThreadItemBody::AgentMessage(said) = &item.body { Some(said.text.as_str()) } else { None }
        })
        .unwrap_or_default()
}

#[tokio::test]
async fn the_peers_threads_come_over_with_all_messages() {
    let fixture = Fixture::new();
    let report = fixture.import().await;
    assert_eq!((report.imported, report.problems.len(), report.passed_over.len()), (8, 0, 0), "{report:?}");
    for (thread, turns, words) in [
        (CHAT, 2, "Hello again"),
        (TOOLS, 1, "All done"),
        (OLDER, 1, "All done"),
        (TROUBLES, 4, "Well again"),
        (ARCHIVED, 1, "Put me away"),
        (TAKEN_BACK, 2, "answer 3"),
        (FORKED, 2, "the branch"),
    ] {
        let history = fixture.history(thread).await;
        let told = history.turns(TurnItemsView::Full);
        assert_eq!((told.len(), last_words(&told)), (turns, words), "{thread}");
        let row = history.row();
        let known =
            (row.cwd.as_str(), row.model.as_str(), row.model_provider.as_str(), row.cli_version.as_str());
        assert_eq!(known, ("/home/user/project", "fake-model", "fake", "0.169.0"), "{thread}");
        assert!(row.created <= row.updated && row.created > WallMs(0), "{thread}");
    }
    assert_eq!(fixture.history(CHAT).await.name(), Some("A friendly talk"));
    let (_home, store) = fixture.store();
    assert_eq!(store.archived().await.unwrap(), [ARCHIVED.parse().unwrap()]);
    assert_eq!(store.open_markers().await.unwrap().len(), 8, "the next start looks at them");
}

/// A client that resumes by number receives an item's start before its end.
#[tokio::test]
async fn an_imported_home_has_nothing_that_a_check_finds() {
    let fixture = Fixture::new();
    fixture.import().await;
    let mut found = Vec::new();
    let mut told = |told: FsckNotice<'_>| {
        if let FsckNotice::Finding(finding) = told {
            found.push(format!("{finding:?}"));
        }
    };
    let summary = fsck::run(&fixture.home(), &fsck::FsckRequest::default(), &mut told).await.unwrap();
    assert_eq!((found, summary.exit_code()), (Vec::new(), 0));
}

#[tokio::test]
async fn calls_of_tools_come_over_from_both_forms_of_rollout() {
    let fixture = Fixture::new();
    fixture.import().await;
    for thread in [TOOLS, OLDER] {
        let turns = fixture.history(thread).await.turns(TurnItemsView::Full);
        let items: Vec<_> = turns.iter().flat_map(|turn| &turn.items).map(|item| &item.body).collect();
        use ThreadItemBody as Body;
        let [
            Body::UserMessage(_),
            Body::CommandExecution(command),
            Body::FileChange(change),
            Body::McpToolCall(tool),
            Body::DynamicToolCall(plan),
            Body::DynamicToolCall(_),
            Body::WebSearch(search),
            Body::AgentMessage(_),
        ] = &items[..]
        else {
            panic!("{items:?}")
        };
        assert!(command.command.contains("echo one; echo two; exit 3"));
        assert_eq!((command.exit_code, command.aggregated_output.as_deref()), (Some(3), Some("one\ntwo\n")));
        assert_eq!(change.changes[0].diff, "hello\n");
        assert_eq!(
            (tool.server.as_str(), tool.result.as_ref().unwrap().content[0]["text"].as_str()),
            ("helper", Some("echo: hi"))
        );
        assert_eq!((plan.tool.as_str(), search.query.as_str()), ("update_plan", "weather"));
    }
}

#[tokio::test]
async fn ends_of_turns_and_what_was_taken_back_are_as_the_peer_has_them() {
    let fixture = Fixture::new();
    fixture.import().await;
    let turns = fixture.history(TROUBLES).await.turns(TurnItemsView::Full);
    let ends: Vec<TurnStatus> = turns.iter().map(|turn| turn.status).collect();
    assert_eq!(
        ends,
        [TurnStatus::Failed, TurnStatus::Interrupted, TurnStatus::Completed, TurnStatus::Completed]
    );
    assert!(turns[0].error.as_ref().unwrap().message.contains("high demand"));
    assert!(turns[2].items.iter().any(|item| matches!(item.body, ThreadItemBody::ContextCompaction(_))));
    let turns = fixture.history(TAKEN_BACK).await.turns(TurnItemsView::Full);
    let text = serde_json::to_string(&turns).unwrap();
    assert!(
        text.contains("question 1") && text.contains("question 3") && !text.contains("question 2"),
        "{text}"
    );
    let text = serde_json::to_string(&fixture.history(FORKED).await.turns(TurnItemsView::Full)).unwrap();
    assert!(text.contains("the trunk") && text.contains("branch off"), "{text}");
}

#[tokio::test]
async fn a_second_import_changes_nothing_and_a_broken_off_one_is_made_again() {
    let fixture = Fixture::new();
    fixture.import().await;
    for (path, text) in peer::FILES {
        assert_eq!(fs::read_to_string(fixture.codex().join(path)).unwrap(), *text, "the source is only read");
    }
    let again = fixture.import().await;
    assert_eq!((again.imported, again.updated, again.unchanged), (0, 0, 8));
    // After a kill: some threads are there, one is incomplete, the rest is missing.
    let (home, store) = fixture.store();
    let paths = home.paths().clone();
    drop((home, store));
    let gone = paths.threads().join("28");
    assert!(!gone.exists() || gone.is_dir());
    let rollout = |thread: &str| paths.threads().join(&thread[34..]).join(format!("{thread}.jsonl"));
    fs::remove_file(rollout(CHAT)).unwrap();
    fs::write(paths.open_markers().join(format!("{CHAT}.part")), "{half a line").unwrap();
    let rest = fixture.import().await;
    assert_eq!((rest.imported, rest.updated, rest.unchanged), (1, 0, 7));
    assert_eq!(fixture.history(CHAT).await.turns(TurnItemsView::Full).len(), 2);
    assert!(!paths.open_markers().join(format!("{CHAT}.part")).exists());
}

#[tokio::test]
async fn a_thread_that_has_grown_is_brought_up_to_date_unless_it_has_grown_here_too() {
    let fixture = Fixture::new();
    fixture.import().await;
    let before = fixture.history(CHAT).await;
    fixture.grow(CHAT, "and again");
    let report = fixture.import().await;
    assert_eq!((report.imported, report.updated, report.unchanged), (0, 1, 7));
    let after = fixture.history(CHAT).await;
    assert_eq!(after.turns(TurnItemsView::Full).len(), 3);
    assert!(after.epoch() > before.epoch(), "numbers that clients may have mean something else now");
    let (home, store) = fixture.store();
    let thread = CHAT.parse().unwrap();
    let named = ThreadNamed { name: Some("ours".to_owned()) };
    let record = Record { seq: after.seq().next(), at: WallMs(0), body: named.into() };
    let lease = Lease { thread, term: home.term() };
    store.append(lease, after.seq(), LogEntry::of(vec![record], Keep::Power)).await.unwrap();
    drop((home, store));
    assert_eq!(fixture.import().await.unchanged, 8, "it has not grown there since");
    fixture.grow(CHAT, "and again");
    let report = fixture.import().await;
    assert_eq!((report.updated, report.kept.len(), report.unchanged), (0, 1, 7));
    let (_home, store) = fixture.store();
    assert_eq!(History::read(&store, thread).await.unwrap().name(), Some("ours"));
}

/// Its record numbers then mean something else.
#[tokio::test]
async fn what_comes_over_with_a_later_import_is_found_also_where_the_thread_was_deleted() {
    for deleted in [false, true] {
        let fixture = Fixture::new();
        fixture.import().await;
        let talk: ThreadId = CHAT.parse().unwrap();
        assert_eq!(fixture.found("once more").await, [talk]);
        fixture.grow(CHAT, "pomegranate");
        if deleted {
            let (home, _store) = fixture.store();
            let folder = home.paths().threads().join(&CHAT[34..]);
            fs::remove_file(folder.join(format!("{CHAT}.jsonl"))).unwrap();
        }
        let report = fixture.import().await;
        assert_eq!((report.imported, report.updated), (u64::from(deleted), u64::from(!deleted)));
        assert_eq!(fixture.found("pomegranate").await, [talk], "deleted: {deleted}");
        assert_eq!(fixture.found("once more").await, [talk], "deleted: {deleted}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_named_with_file_and_line_and_the_rest_comes_over() {
    let fixture = Fixture::new();
    let bad = fixture.file(CHAT);
    let text = fs::read_to_string(&bad).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(5, "{ not json");
    lines.insert(
        7,
        r#"{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{"type":"from_the_future"}}"#,
    );
    lines.push(r#"{"timestamp":"2026-01-01T00:00:00Z","type":"eve"#);
    fs::write(&bad, lines.join("\n")).unwrap();
    let headless = fixture.file(ARCHIVED);
    fs::write(&headless, "no meta\n").unwrap();
    fs::write(headless.with_extension("jsonl.zst"), "").unwrap();
    let report = fixture.import().await;
    let mut said: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    said.sort();
    assert_eq!((report.imported, said.len()), (7, 3), "{said:?}");
    assert!(said[0].contains("line 1: it does not say which thread"), "{said:?}");
    assert!(said[1].contains("zstd -d"), "{said:?}");
    assert!(said[2].starts_with(&format!("{}, line 6: ", bad.display())), "{said:?}");
    assert_eq!(report.passed_over.get("event_msg/from_the_future"), Some(&1));
    assert_eq!(fixture.history(CHAT).await.turns(TurnItemsView::Full).len(), 2);
}

#[tokio::test]
async fn a_served_home_and_a_folder_without_rollouts_are_refused() {
    let fixture = Fixture::new();
    let _home = Home::open(&fixture.home()).unwrap();
    let refused = run(&fixture.codex(), &fixture.home(), |_| {}).await;
    assert!(matches!(refused, Err(ImportError::Home(HomeError::Served { .. }))), "{refused:?}");
    let empty = fixture.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let refused = run(&empty, &fixture.dir.path().join("new"), |_| {}).await;
    assert!(matches!(refused, Err(ImportError::Nothing { .. })), "{refused:?}");
    assert!(!fixture.dir.path().join("new").exists(), "no home is made for nothing");
}
