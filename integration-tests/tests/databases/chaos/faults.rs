//! The servers of a campaign, and the faults in them, their links and their database.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Exit, Home, PATIENCE, Setup};
use skein_integration_tests::http::{Request, free_port};
use skein_integration_tests::paths::{earlier_skein, has_earlier_skein};
use skein_integration_tests::process::freeze;
use skein_integration_tests::proxy::{Flow, Proxy};
use skein_integration_tests::seed::Seed;
use skein_postgres::testing::{CuttingProxy, ProxyCut, TestCluster, TestDatabase};

use super::super::commands::cluster;
use super::super::nodes::node;
use super::person::Addresses;

const SERVERS: [&str; 3] = ["first", "second", "third"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Kill,
    Pause,
    Terminate,
    Drain,
    CutLink,
    StallLink,
    SlowLink,
    CutStatements,
    CutAnswers,
    StallDatabase,
    KillDatabase,
    /// The standby becomes the primary, once in a campaign; then the old primary comes back, and one server is led to it.
    Promote,
}

impl Fault {
    const ALL: [Self; 12] = [
        Self::Kill,
        Self::Pause,
        Self::Terminate,
        Self::Drain,
        Self::CutLink,
        Self::StallLink,
        Self::SlowLink,
        Self::CutStatements,
        Self::CutAnswers,
        Self::StallDatabase,
        Self::KillDatabase,
        Self::Promote,
    ];
}

/// A server, with a proxy in front of its links and one in front of its database.
struct Node {
    home: Home,
    link: Proxy,
    way: CuttingProxy,
}

pub(super) struct Servers {
    cluster: Arc<TestCluster>,
    database: TestDatabase,
    /// The way of commands to the database.
    commands: CuttingProxy,
    nodes: Vec<Node>,
    pub(super) addresses: Addresses,
    faults: BTreeMap<Fault, usize>,
}

/// The wall clocks that are wrong: one is an hour ahead, and one an hour behind.
struct WrongClocks {
    /// A library that gives a program another clock.
    library: String,
    /// The servers, and what their clocks are off by.
    offsets: [(usize, &'static str); 2],
}

impl WrongClocks {
    /// `None` where the library is not installed.
    fn draw(seed: &mut Seed) -> Result<Option<Self>> {
        let right = usize::try_from(seed.below(3))?;
        let offsets = [((right + 1) % 3, "+1h"), ((right + 2) % 3, "-1h")];
        let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
        let Some(library) = libraries.find(|library| library.exists()) else {
            eprintln!("SKIPPED: all clocks are right: libfaketime is not installed");
            return Ok(None);
        };
        for (at, offset) in offsets {
            eprintln!("the clock of the {} is off by {offset}", SERVERS[at]);
        }
        Ok(Some(Self { library: library.display().to_string(), offsets }))
    }

    /// The settings of the server at this place.
    fn set(&self, at: usize, setup: Setup) -> Setup {
        match self.offsets.iter().find(|(off, _)| *off == at) {
            Some((_, offset)) => setup
                .env("LD_PRELOAD", &self.library)
                .env("FAKETIME", offset)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("NO_FAKE_STAT", "1"),
            None => setup,
        }
    }

    /// Removes what the library leaves in the memory of the system when its program is killed.
    fn remove_files(pid: u32) {
        for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
            // The server with the right clock has none.
            std::fs::remove_file(Path::new("/dev/shm").join(name)).ok();
        }
    }

    /// Looks whether the servers have these clocks.
    fn check(&self, nodes: &[Node]) -> Result<()> {
        for (at, _) in self.offsets {
            let maps = std::fs::read_to_string(format!("/proc/{}/maps", nodes[at].home.pid()))?;
            ensure!(maps.contains(&self.library), "the {} has the clock of this machine", SERVERS[at]);
        }
        Ok(())
    }
}

/// The place of the server of the version before, where the run has one.
fn earlier_one(seed: &mut Seed) -> Result<Option<usize>> {
    let at = usize::try_from(seed.below(3))?;
    if !has_earlier_skein() {
        return Ok(None);
    }
    eprintln!("the {} is of the version before", SERVERS[at]);
    Ok(Some(at))
}

/// Lets time pass, as a fault lasts.
async fn pass(time: Duration) {
    let mut ticks = tokio::time::interval(time);
    ticks.tick().await;
    ticks.tick().await;
}

impl Servers {
    pub(super) async fn start(seed: &mut Seed) -> Result<Self> {
        let cluster = Arc::new(TestCluster::start());
        let database = cluster.database().await;
        cluster.stand_by().await;
        let commands = CuttingProxy::alone(&database);
        let (clocks, earlier) = (WrongClocks::draw(seed)?, earlier_one(seed)?);
        let (mut nodes, addresses) = (Vec::new(), Addresses::default());
        for (at, name) in SERVERS.into_iter().enumerate() {
            let port = free_port()?;
            let link = Proxy::start(&format!("ws://127.0.0.1:{port}")).await?;
            let advertised = link.address().strip_prefix("ws://").context("an address")?.to_owned();
            let way = CuttingProxy::alone(&database);
            let mut setup = node(&database, name)?
                .set("store.url", way.url(&database))
                .set("cluster.listen", format!("127.0.0.1:{port}"))
                .set("cluster.advertise", advertised)
                .set("cluster.drain", "5s");
            if let Some(clocks) = &clocks {
                setup = clocks.set(at, setup);
            }
            if earlier == Some(at) {
                setup = setup.program(earlier_skein()?);
            }
            let home = setup.start().await?;
            addresses.set(at, home.address());
            nodes.push(Node { home, link, way });
        }
        if let Some(clocks) = clocks {
            clocks.check(&nodes)?;
        }
        Ok(Self { cluster, database, commands, nodes, addresses, faults: BTreeMap::new() })
    }

    pub(super) fn address(&self) -> &str {
        self.nodes[0].home.address()
    }

    pub(super) fn faults(&self) -> String {
        let counts = self.faults.iter().map(|(fault, count)| format!("{count} {fault:?}"));
        counts.collect::<Vec<_>>().join(", ")
    }

    /// Brings a fault, waits, and takes it away.
    ///
    /// # Errors
    /// A server ends in another way than it should, or does not start again.
    pub(super) async fn fail(&mut self, seed: &mut Seed) -> Result<()> {
        let drawn = *seed.one_of(&Fault::ALL);
        let is_again = drawn == Fault::Promote && self.faults.contains_key(&drawn);
        let fault = if is_again { Fault::KillDatabase } else { drawn };
        let (at, lasts) = (usize::try_from(seed.below(3))?, Duration::from_millis(500 + seed.below(9_000)));
        *self.faults.entry(fault).or_default() += 1;
        eprintln!("{fault:?} of the {} for {lasts:?}", SERVERS[at]);
        match fault {
            Fault::Kill => {
                let pid = self.nodes[at].home.pid();
                self.nodes[at].home.kill().await?;
                WrongClocks::remove_files(pid);
                pass(lasts).await;
                self.start_again(at).await
            }
            Fault::Pause => {
                freeze(self.nodes[at].home.pid()).await?;
                pass(lasts + Duration::from_secs(3)).await;
                self.nodes[at].home.signal(Signal::SIGCONT)
            }
            Fault::Terminate => {
                self.nodes[at].home.signal(Signal::SIGTERM)?;
                self.ended(at).await?;
                pass(lasts / 4).await;
                self.start_again(at).await
            }
            Fault::Drain => {
                self.until_ready(at).await?;
                let (code, _, error) =
                    cluster(&["drain", SERVERS[at]], &self.commands.url(&self.database)).await?;
                ensure!(code == Some(0), "the drain of the {}: {error}", SERVERS[at]);
                self.ended(at).await?;
                self.start_again(at).await
            }
            // Long enough for a wish that a thread is handed over.
            Fault::CutLink => self.link(at, Flow::Cut, lasts * 2).await,
            Fault::StallLink => self.link(at, Flow::Stalled, lasts).await,
            Fault::SlowLink => {
                let flow = Flow::Trickle { bytes: 200, pause: Duration::from_millis(20) };
                self.link(at, flow, lasts).await
            }
            Fault::CutStatements => self.way(at, ProxyCut::Statements, lasts).await,
            Fault::CutAnswers => self.way(at, ProxyCut::Answers, lasts).await,
            Fault::StallDatabase => self.way(at, ProxyCut::Stalled, lasts).await,
            Fault::KillDatabase => {
                self.database(TestCluster::stop).await?;
                pass(lasts).await;
                self.database(TestCluster::start_again).await
            }
            Fault::Promote => self.promote(at, lasts).await,
        }
    }

    async fn promote(&self, at: usize, lasts: Duration) -> Result<()> {
        let before = self.life(at).await?;
        self.database(TestCluster::promote).await?;
        let ways = || self.nodes.iter().map(|node| &node.way).chain([&self.commands]);
        ways().for_each(|way| way.lead_to(&self.cluster.socket()));
        let seen = async {
            for at in 0..SERVERS.len() {
                // It may close its clients meanwhile.
                while self.life(at).await.map_or(true, |life| life == before) {
                    pass(Duration::from_millis(100)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.context("a server does not see the new primary")?;
        self.until_well().await?;
        self.database(TestCluster::start_old_primary).await?;
        self.nodes[at].way.lead_to(&self.cluster.first_socket());
        pass(lasts).await;
        self.nodes[at].way.lead_to(&self.cluster.socket());
        self.database(TestCluster::stop_old_primary).await
    }

    /// The life of the database that a server has seen.
    async fn life(&self, at: usize) -> Result<String> {
        let mut client = Client::ready(self.nodes[at].home.address()).await?;
        let cluster = client.status().await?.cluster.context("it is one of several")?;
        client.close().await?;
        Ok(cluster.database.life)
    }

    /// Ends or starts the database, while people go on.
    async fn database(&self, does: fn(&TestCluster)) -> Result<()> {
        let cluster = Arc::clone(&self.cluster);
        Ok(tokio::task::spawn_blocking(move || does(&cluster)).await?)
    }

    async fn start_again(&mut self, at: usize) -> Result<()> {
        let home = &mut self.nodes[at].home;
        home.start_again().await.with_context(|| format!("the {} does not start", SERVERS[at]))?;
        self.addresses.set(at, home.address());
        Ok(())
    }

    async fn ended(&mut self, at: usize) -> Result<()> {
        let exit = self.nodes[at].home.exited(PATIENCE).await?;
        ensure!(exit == Exit::Code(0), "the {} has ended with {exit:?}", SERVERS[at]);
        Ok(())
    }

    /// Waits until a server has its row: without one nobody can ask it to drain.
    async fn until_ready(&self, at: usize) -> Result<()> {
        let address = self.nodes[at].home.address();
        let ready = async {
            while Request::new("GET", "/readyz").send(address).await?.status != 200 {
                pass(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, ready)
            .await
            .with_context(|| format!("the {} is not ready", SERVERS[at]))?
    }

    async fn link(&self, at: usize, flow: Flow, lasts: Duration) -> Result<()> {
        self.nodes[at].link.set(flow);
        pass(lasts).await;
        self.nodes[at].link.set(Flow::Open);
        Ok(())
    }

    async fn way(&self, at: usize, cut: ProxyCut, lasts: Duration) -> Result<()> {
        self.nodes[at].way.set(cut);
        pass(lasts).await;
        self.nodes[at].way.set(ProxyCut::Nothing);
        Ok(())
    }

    /// Waits until each server can be used.
    pub(super) async fn until_well(&self) -> Result<()> {
        for at in 0..SERVERS.len() {
            self.until_ready(at).await?;
        }
        Ok(())
    }

    /// Ends the servers. No process is left.
    pub(super) async fn finish(self) -> Result<()> {
        for node in self.nodes {
            node.home.finish().await?;
        }
        Ok(())
    }
}
