//! All threads of a home go to a database, and come back.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::paths::{run_skein, skein};
use skein_postgres::testing::{TestCluster, TestDatabase};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadArchive, ThreadDelete, ThreadList};
use skein_protocol::thread::{ThreadArchiveParams, ThreadDeleteParams, ThreadListParams};
use tokio::process::Command;

use super::{no_file_of_a_thread_is_in, texts};

/// Moves the threads. Returns the exit code and the last line of the output.
pub(super) async fn migrate(from: &str, to: &str) -> Result<(Option<i32>, Value, String)> {
    let mut command = Command::new(skein()?);
    command.args(["migrate", "--from", from, "--to", to, "--json"]).env_remove("SKEIN_STORE");
    let done = command.output().await?;
    let (out, error) = (String::from_utf8(done.stdout)?, String::from_utf8(done.stderr)?);
    let last = out.lines().last().map(serde_json::from_str).transpose()?.unwrap_or_default();
    Ok((done.status.code(), last, error))
}

pub(super) fn place(home: &Home) -> String {
    format!("home:{}", home.path().display())
}

/// A stopped home with threads of each kind, and what they are.
struct Moved {
    home: Home,
    active: ThreadId,
    archived: ThreadId,
    deleted: ThreadId,
    large: String,
}

impl Moved {
    async fn new() -> Result<Self> {
        let (mut home, mut client) = Home::setup().in_files().start_with_client().await?;
        let large = "0123456789".repeat(60_000);
        let active = client.start_thread_with(&large).await?;
        let archived = client.start_thread_with("put away").await?;
        let deleted = client.start_thread_with("no more").await?;
        client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: archived }).await?;
        client.call::<ThreadDelete>(ThreadDeleteParams { thread_id: deleted }).await?;
        home.stop().await?;
        Ok(Self { home, active, archived, deleted, large })
    }

    /// All threads are as they were, and the first one goes on.
    async fn is_served(&self, client: &mut Client, more: &str) -> Result<()> {
        let ids = async |client: &mut Client, archived| -> Result<Vec<ThreadId>> {
            let params = ThreadListParams { archived: Some(archived), ..ThreadListParams::default() };
            Ok(client.call::<ThreadList>(params).await?.data.into_iter().map(|thread| thread.id).collect())
        };
        assert_eq!(ids(client, false).await?, [self.active]);
        assert_eq!(ids(client, true).await?, [self.archived]);
        assert_eq!(texts(&client.read_thread(self.archived).await?), ["put away", "put away"]);
        let read = texts(&client.read_thread(self.active).await?);
        ensure!(read[..2] == [self.large.clone(), self.large.clone()], "the large text is whole");
        client.resume(self.active).await?;
        assert_eq!(client.say(self.active, more).await?, more);
        client.unload(self.active, false).await?;
        Ok(())
    }

    fn lines(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.home.rollout(self.active))?)
    }
}

#[tokio::test]
async fn threads_go_to_a_database_and_come_back_with_every_byte() -> Result<()> {
    let mut it = Moved::new().await?;
    let database = TestCluster::shared().database().await;
    let before = it.lines()?;

    let (code, outcome, error) = migrate(&place(&it.home), &database.url()).await?;
    assert_eq!((code, &outcome["moved"], &outcome["damaged"]), (Some(0), &3.into(), &0.into()), "{error}");
    no_file_of_a_thread_is_in(&it.home)?;
    let aside = Path::new(outcome["left"].as_str().context("a folder")?).to_owned();
    let name = it.home.rollout(it.active);
    let name = name.strip_prefix(it.home.path())?;
    assert_eq!(fs::read(aside.join(name))?, before, "the originals are kept");

    let served = super::stored_in(&database).start().await?;
    it.is_served(&mut served.client().await?, "in the database").await?;
    let busy = migrate(&database.url(), &place(&it.home)).await?;
    assert_eq!(busy.0, Some(1), "{busy:?}");
    ensure!(busy.2.contains("serves this database"), "{busy:?}");
    served.finish().await?;

    let (code, outcome, error) = migrate(&database.url(), &place(&it.home)).await?;
    assert_eq!((code, &outcome["moved"]), (Some(0), &3.into()), "{error}");
    ensure!(it.lines()?.starts_with(&before), "earlier lines have the same bytes");
    // A run that was cut off behind the note that the threads are in the home.
    let note = json!({ "url": database.url(), "arriving": true });
    fs::write(it.home.path().join("store.json"), note.to_string())?;
    let (code, outcome, error) = migrate(&database.url(), &place(&it.home)).await?;
    assert_eq!((code, &outcome["moved"], &outcome["there"]), (Some(0), &0.into(), &3.into()), "{error}");
    let trash = fs::read_dir(it.home.path().join("trash"))?.next().context("the deleted thread")??;
    ensure!(trash.file_name().to_string_lossy().starts_with(&it.deleted.to_string()));
    it.home.start_again().await?;
    let mut client = it.home.client().await?;
    it.is_served(&mut client, "in files again").await?;
    drop(client);
    is_given_up(&database, &it.home).await?;
    it.home.finish().await
}

/// The database says where its threads are.
async fn is_given_up(database: &TestDatabase, home: &Home) -> Result<()> {
    let nobody = tempfile::tempdir()?;
    let arguments = ["doctor", "--store", &database.url()];
    let doctor = run_skein(nobody.path(), arguments).await?;
    let says = String::from_utf8(doctor.stdout)?;
    ensure!(says.contains("were moved to") && says.contains(&place(home)), "{says}");
    Ok(())
}

#[tokio::test]
async fn damage_moves_as_it_is_and_a_second_run_goes_on() -> Result<()> {
    let it = Moved::new().await?;
    let database = TestCluster::shared().database().await;
    let path = it.home.rollout(it.active);
    let mut lines: Vec<Vec<u8>> = it.lines()?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines[2] = b"{\"v\":1,\"seq\":3 damage".to_vec();
    fs::write(&path, lines.join(&b'\n'))?;
    let damaged = it.lines()?;

    let (code, outcome, error) = migrate(&place(&it.home), &database.url()).await?;
    assert_eq!((code, &outcome["damaged"]), (Some(0), &1.into()), "{error}");
    // A run that was cut off while the files were set aside, and before the lists had each thread.
    let aside = Path::new(outcome["left"].as_str().context("a folder")?).to_owned();
    TestCluster::shared().run(&database.name, "delete from threads").await;
    for folder in ["threads", "trash"] {
        fs::rename(aside.join(folder), it.home.path().join(folder))?;
    }
    let (code, outcome, error) = migrate(&place(&it.home), &database.url()).await?;
    assert_eq!((code, &outcome["moved"], &outcome["there"]), (Some(0), &0.into(), &2.into()), "{error}");
    assert_eq!(outcome["left"].as_str(), aside.to_str(), "it goes on in the same folder");

    let served = super::stored_in(&database).start().await?;
    let listed = served.client().await?.list_all(ThreadListParams::default()).await?;
    assert_eq!(listed.iter().map(|thread| thread.id).collect::<Vec<_>>(), [it.active]);
    served.finish_with_faults().await?;
    let (code, outcome, error) = migrate(&database.url(), &place(&it.home)).await?;
    assert_eq!((code, &outcome["damaged"]), (Some(0), &1.into()), "{error}");
    assert_eq!(it.lines()?, damaged);
    it.home.finish_with_faults().await
}

#[tokio::test]
async fn a_thread_of_another_content_is_not_replaced() -> Result<()> {
    let it = Moved::new().await?;
    let database = TestCluster::shared().database().await;
    migrate(&place(&it.home), &database.url()).await?;
    let aside = it.home.path().join("threads-before-database");
    fs::rename(aside.join("threads"), it.home.path().join("threads"))?;
    let mut lines = it.lines()?;
    lines.extend_from_slice(b"one more\n");
    fs::write(it.home.rollout(it.active), &lines)?;
    let (code, _, error) = migrate(&place(&it.home), &database.url()).await?;
    assert_eq!(code, Some(1));
    ensure!(error.contains(&it.active.to_string()) && error.contains("another content"), "{error}");
    let nobody = tempfile::tempdir()?;
    let (_, status) =
        output_of(nobody.path(), &["cluster", "status", "--store", &database.url(), "--json"]).await?;
    ensure!(status.contains("\"arrivingFrom\":null"), "nothing was begun: {status}");
    assert_eq!(it.lines()?, lines);
    it.home.finish().await
}

/// The exit code of a command, and all that it printed.
async fn output_of(home: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let done = run_skein(home, arguments).await?;
    let text = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((done.status.code(), text.concat()))
}

/// The only server is the one of the source, as the target has a part of the threads.
#[tokio::test]
async fn nobody_serves_a_target_until_all_threads_are_there() -> Result<()> {
    let mut it = Moved::new().await?;
    let (database, place) = (TestCluster::shared().database().await, place(&it.home));
    let url = database.url();
    let refusal = format!(
        "create function refused() returns trigger language plpgsql as
$$ begin if new.thread = '{}' then raise exception 'not this one'; end if; return new; end $$;
create trigger refused before insert on heads for each row execute function refused()",
        it.archived
    );
    TestCluster::shared().run(&database.name, &refusal).await;
    let (code, _, error) = migrate(&place, &url).await?;
    assert!(code == Some(1) && error.contains("not this one"), "{error}");
    let way_out = format!("skein migrate --from {place}");
    let nobody = tempfile::tempdir()?;
    for (arguments, code) in [
        (["serve", "--store", &url, "--listen", "ws://127.0.0.1:0"].as_slice(), 1),
        (&["doctor", "--store", &url], 1),
        (&["cluster", "status", "--store", &url], 0),
    ] {
        let (found, text) = output_of(nobody.path(), arguments).await?;
        assert!(found == Some(code) && text.contains(&way_out), "{arguments:?}: {found:?} {text}");
    }
    let other = format!("home:{}", nobody.path().display());
    let (code, _, error) = migrate(&other, &url).await?;
    assert!(code == Some(1) && error.contains(&way_out), "{error}");

    // The source is served meanwhile, and its threads go on.
    it.home.start_again().await?;
    it.is_served(&mut it.home.client().await?, "between two runs").await?;
    it.home.stop().await?;
    let lines = it.lines()?;
    TestCluster::shared().run(&database.name, "drop trigger refused on heads").await;
    let (code, outcome, error) = migrate(&place, &url).await?;
    let all = outcome["moved"].as_u64().zip(outcome["there"].as_u64()).map(|(moved, there)| moved + there);
    assert_eq!((code, all), (Some(0), Some(3)), "{error}");
    let served = super::stored_in(&database).start().await?;
    let mut client = served.client().await?;
    let read = texts(&client.read_thread(it.active).await?);
    assert_eq!(read[2..], ["between two runs", "between two runs"]);
    it.is_served(&mut client, "in the database").await?;
    drop(client);
    served.finish().await?;

    // The way back ends behind the threads, with sessions and tokens.
    let access = it.home.path().join("access.json");
    fs::create_dir(&access)?;
    let (code, _, error) = migrate(&url, &place).await?;
    assert!(code == Some(1) && error.contains("access.json"), "{error}");
    let way_out = format!("skein migrate --from {url} --to {place}");
    let listen = ["serve", "--listen", "ws://127.0.0.1:0"];
    for arguments in [listen.as_slice(), &[listen.as_slice(), &["--store", &url]].concat(), &["reindex"]] {
        let (found, text) = output_of(&it.home.path(), arguments).await?;
        assert!(found != Some(0) && text.contains(&way_out), "{arguments:?}: {found:?} {text}");
    }
    fs::remove_dir(&access)?;
    let (code, outcome, error) = migrate(&url, &place).await?;
    assert_eq!((code, &outcome["there"]), (Some(0), &3.into()), "{error}");
    ensure!(it.lines()?.starts_with(&lines), "earlier lines have the same bytes");
    let mut home = it.home;
    home.start_again().await?;
    drop(home.client().await?);
    home.finish().await
}

#[tokio::test]
async fn places_that_make_no_sense_are_refused_with_the_way_out() -> Result<()> {
    let home = Home::setup().in_files().start().await?;
    let url = "postgres://skein@/nowhere?host=/nowhere";
    let served = place(&home);
    for (from, to, code, says) in [
        (served.as_str(), "home:/tmp/other", 1, "skein backup"),
        (url, url, 1, "pg_dump"),
        ("/tmp/home", url, 2, "home:/tmp/home"),
        ("home:", url, 2, "needs a folder"),
        ("home:/nowhere/at/all", url, 1, "there is no home"),
        (served.as_str(), "postgres://skein:a/hush@/x", 1, "store.password_file"),
        (served.as_str(), "postgres://skein:hush@/x", 1, "store.password_file"),
        (served.as_str(), "postgres://skein@/x?password=hush", 1, "store.password_file"),
        (served.as_str(), url, 3, "already served"),
    ] {
        let (found, _, error) = migrate(from, to).await?;
        ensure!(!error.contains("hush"), "{error}");
        assert!(found == Some(code) && error.contains(says), "{from} {to}: {found:?} {error}");
    }
    home.finish().await
}
