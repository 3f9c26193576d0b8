//! `skein migrate`: moves all threads, sessions and tokens from a home to a database, or back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use skein_app_server::database_credentials::DatabaseCredentials;
use skein_app_server::telemetry::{self, Stderr};
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_config::access::{CredentialFile, carry};
use skein_config::{Flags, ServerConfig, StoreRules, StoreUrl};
use skein_postgres::credentials::CredentialRows;
use skein_postgres::database::Database;
use skein_postgres::lines::PgLines;
use skein_postgres::node::{NodeCompany, NodeProfile};
use skein_postgres::presence::{NodePresence, PresenceError};
use skein_store::home::{Home, HomePaths};
use skein_store::migrate::{self, MigrateTarget, Migrated};
use skein_store::rollout::file::FileLines;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::outputs::MigrateOutcome;
use super::progress::ProgressDisplay;
use super::{database, home_alone, print_json, print_line, say};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// The threads' present place: home:DIR, or a PostgreSQL database without a password. No server may have it.
    #[arg(long, value_name = "PLACE")]
    from: ThreadPlace,
    /// Their new place: the other of the two. A home is made if it is missing; a database has tables (`skein cluster init`).
    #[arg(long, value_name = "PLACE")]
    to: ThreadPlace,
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

/// A place of threads.
#[derive(Debug, Clone)]
enum ThreadPlace {
    Home(PathBuf),
    Database(String),
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    ToDatabase,
    ToHome,
}

impl FromStr for ThreadPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("home:") {
            Some("") => Err("home: needs a folder, such as home:/var/lib/skein".to_owned()),
            Some(folder) => Ok(Self::Home(folder.into())),
            None if text.contains("://") => Ok(Self::Database(text.to_owned())),
            None => Err(format!("write home:{text} for a folder, or postgres://… for a database")),
        }
    }
}

/// Whether an address has a password before its host, or among its parameters.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let user = rest.split_once('@');
    user.is_some_and(|(user, _)| user.contains(':')) || rest.contains("password=")
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(Stderr::Direct);
        let (root, url, direction) = self.places()?;
        if matches!(direction, Direction::ToDatabase) && !HomePaths::new(root).lock().exists() {
            bail!("there is no home in {}", root.display());
        }
        let (rules, url) = rules(root, url)?;
        let home = match Home::take_for_migration(root, &url.to_string()) {
            Ok(home) => home,
            Err(error) => return home_alone::refused(error, self.json),
        };
        let database =
            OpenDatabase::open(&rules, &url, (&home, direction)).await.with_context(|| url.to_string())?;
        let done = tokio::select! {
            biased;
            () = database.lost.cancelled() => Err(taken_over()),
            done = self.move_all(home, &url, direction, &database) => done,
        };
        database.finish().await;
        let (done, left) = done?;
        self.report(&done, &left)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The home, the database, and which of them gets the threads.
    fn places(&self) -> anyhow::Result<(&Path, &str, Direction)> {
        let both = [&self.from, &self.to];
        // Checked here and not where the argument is read, as the error there repeats the argument.
        if both.iter().any(|place| matches!(place, ThreadPlace::Database(url) if has_password(url))) {
            bail!(
                "every user of this machine can read a password in an argument; name its file in store.password_file, or its \
                 variable in store.password_env, in the config.toml of the home"
            );
        }
        match (&self.from, &self.to) {
            (ThreadPlace::Home(home), ThreadPlace::Database(url)) => Ok((home, url, Direction::ToDatabase)),
            (ThreadPlace::Database(url), ThreadPlace::Home(home)) => Ok((home, url, Direction::ToHome)),
            (ThreadPlace::Home(_), ThreadPlace::Home(_)) => {
                bail!("both places are homes: skein backup and skein restore move a home")
            }
            (ThreadPlace::Database(_), ThreadPlace::Database(_)) => {
                bail!("both places are databases: pg_dump moves a database")
            }
        }
    }

    /// Moves the threads, and then notes at the source where they are. Returns where the originals are.
    async fn move_all(
        &self,
        mut home: Home,
        url: &StoreUrl,
        direction: Direction,
        database: &OpenDatabase,
    ) -> anyhow::Result<(Migrated, String)> {
        let files = FileLines::open(home.paths())?;
        let mut shown = ProgressDisplay::of("threads", self.json);
        let at = |done, total| shown.at(done, total);
        let place = place_of(&home);
        let goes_on = database.goes_on(&place).await?;
        match direction {
            Direction::ToDatabase => {
                if !goes_on {
                    migrate::compare(&files, &database.lines).await?;
                    still_ours(database.database.note_arriving(Some(&place), database.node).await?)?;
                }
                let done = migrate::run(&files, &database.lines, before(goes_on), at).await?;
                carry(&database.credentials_of(&home), &database.credentials()).await?;
                let aside = home.set_threads_aside(&url.to_string())?;
                home.set_credentials_aside()?;
                still_ours(database.database.note_arriving(None, database.node).await?)?;
                Ok((done, aside.display().to_string()))
            }
            Direction::ToHome => {
                let goes_on = home.expects_threads()?;
                if !goes_on {
                    migrate::compare(&database.lines, &files).await?;
                    home.expect_threads(&url.to_string())?;
                }
                let done = migrate::run(&database.lines, &files, before(goes_on), at).await?;
                // From here on nobody serves either place, until the home has received all.
                still_ours(database.database.note_moved(&place, database.node).await?)?;
                carry(&database.credentials(), &database.credentials_of(&home)).await?;
                home.receive_threads(done.term)?;
                Ok((done, url.to_string()))
            }
        }
    }

    fn report(&self, done: &Migrated, left: &str) -> anyhow::Result<()> {
        let Migrated { moved, there, lines, damaged, unnumbered, lost, term: _ } = *done;
        if self.json {
            return print_json(&MigrateOutcome {
                complete: true,
                moved,
                there,
                lines,
                damaged,
                unnumbered,
                lost,
                left,
            });
        }
        if damaged > 0 {
            say(format_args!("{damaged} damaged lines were moved as they are"));
        }
        if unnumbered > 0 {
            say(format_args!("{unnumbered} bytes of damage have no number, and stay in {left}"));
        }
        if lost > 0 {
            say(format_args!("{lost} large texts were lost before"));
        }
        let before = if there > 0 { format!(", {there} were there already") } else { String::new() };
        print_line(&format!("{moved} threads moved{before}; the originals are in {left}"))
    }
}

/// A home, as the notes of a move name it.
fn place_of(home: &Home) -> String {
    format!("home:{}", home.paths().root().display())
}

/// The state of the target, of which an earlier run may have been cut off.
fn before(goes_on: bool) -> MigrateTarget {
    if goes_on { MigrateTarget::HasCopies } else { MigrateTarget::Used }
}

fn still_ours(ours: bool) -> anyhow::Result<()> {
    if ours { Ok(()) } else { Err(taken_over()) }
}

fn taken_over() -> anyhow::Error {
    anyhow::anyhow!("another server has taken the database meanwhile; stop it, and run this again")
}

/// The settings of the home for its database, and the address.
fn rules(root: &Path, url: &str) -> anyhow::Result<(StoreRules, StoreUrl)> {
    let flags = Flags { home: Some(root.to_owned()), store: Some(url.to_owned()), ..Flags::default() };
    let rules = ServerConfig::load(&flags)
        .map_err(|errors| anyhow::anyhow!("these settings cannot be used:\n{errors}"))?
        .store;
    let url = rules.url.clone().context("no database is named")?;
    Ok((rules, url))
}

/// A database that no server has meanwhile.
struct OpenDatabase {
    database: Arc<Database>,
    lines: PgLines,
    tasks: Tasks,
    /// This program, as the database knows it.
    node: Uuid,
    /// Ends once a server has taken the database.
    lost: CancellationToken,
    stop: CancellationToken,
    beat: JoinHandle<()>,
}

impl OpenDatabase {
    async fn open(
        rules: &StoreRules,
        url: &StoreUrl,
        (home, direction): (&Home, Direction),
    ) -> anyhow::Result<Self> {
        let (address, place) = (database::address(rules, &url.expose())?, place_of(home));
        let ends = matches!(direction, Direction::ToHome) && home.expects_threads()?;
        let database = if ends {
            // An earlier run may have been cut off behind the note that the threads are in the home.
            Database::open_for_move(address, &place).await?
        } else {
            Database::open(address).await?
        };
        let database = Arc::new(database);
        let name = format!("skein migrate (process {})", std::process::id());
        let node = Clock.new_id();
        let (taken, tag) = (Arc::clone(&database), home.tag()?);
        let profile = NodeProfile { name, home: tag, company: NodeCompany::Alone, link: None };
        let (presence, events) = NodePresence::take_for_migration(taken, profile, node, &place).await?;
        let lost = events.displaced;
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let beat = tasks.spawn("presence", presence.beat(stop.clone()));
        let (store, index) = database::threads(&database, &tasks).await?;
        Ok(Self { database, lines: PgLines::new(store, index), tasks, node, lost, stop, beat })
    }

    /// Whether a move from the home at `place` into the database was cut off.
    async fn goes_on(&self, place: &str) -> anyhow::Result<bool> {
        match self.database.arriving_from().await? {
            Some(from) if from != place => Err(PresenceError::Arriving { from }.into()),
            from => Ok(from.is_some()),
        }
    }

    /// The sessions and tokens of the database.
    fn credentials(&self) -> DatabaseCredentials {
        DatabaseCredentials::new(CredentialRows::new(&self.database, None))
    }

    /// Those of the home.
    fn credentials_of(&self, home: &Home) -> CredentialFile {
        CredentialFile::new(home.paths().access(), self.tasks.clone())
    }

    /// Gives the database up.
    async fn finish(self) {
        self.stop.cancel();
        self.beat.await.ok();
        drop(self.lines);
        self.tasks.finish().await;
    }
}
