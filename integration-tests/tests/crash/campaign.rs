//! The promise as a campaign: people who talk, name, put aside and take back, a server that is killed at any moment, and
//! afterwards everything that was acknowledged. `SKEIN_SEED` plays one again, `SKEIN_ROUNDS` says how many kills it has;
//! `scripts/crash` plays many.

mod person;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::paths;
use skein_integration_tests::seed::Seed;
use tokio::process::Command;

use person::{Moment, Person};

/// Kills of a campaign, where nobody asks for more.
const ROUNDS: u64 = 6;
/// Who talks at the same time.
const PEOPLE: usize = 4;
/// What a kill may leave, and the next start takes care of: writes and work that never came to their end, and the word of
/// a server that is gone.
const LEFT_BY_A_KILL: [&str; 5] = ["tornEnd", "begun", "markerAlone", "leftover", "serverJson"];

/// What `skein fsck` finds in a home that nobody serves: the kinds, and each in words.
async fn findings(home: &Home) -> Result<Vec<(String, String)>> {
    let mut command = Command::new(paths::skein()?);
    let checked = command.args(["fsck", "--json", "--home"]).arg(home.path()).output().await?;
    let said = String::from_utf8(checked.stdout)?;
    let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (summary, findings) = lines.split_last().context("no summary")?;
    let code = checked.status.code().context("a signal")?;
    ensure!(code == if findings.is_empty() { 0 } else { 4 }, "exit code {code}: {said}");
    let found = summary["summary"]["findings"].as_u64().context("no count")?;
    ensure!(found == findings.len() as u64, "{said}");
    let kind = |finding: &Value| finding["kind"].as_str().unwrap_or_default().to_owned();
    Ok(findings.iter().map(|finding| (kind(finding), finding.to_string())).collect())
}

struct Campaign {
    home: Home,
    people: Vec<Person>,
}

impl Campaign {
    async fn new(seed: &mut Seed) -> Result<Self> {
        let durability = *seed.one_of(&["turn", "event", "process"]);
        let setup = Home::setup().helper(Helper::named("helper")?).set("durability", durability);
        let home = setup.start().await?;
        Ok(Self { home, people: (0..PEOPLE).map(|_| Person::new(seed.fork())).collect() })
    }

    /// Everybody does what they do, until the server is killed under them.
    async fn until_a_kill(&mut self, seed: &mut Seed) -> Result<()> {
        let moment = Moment::default();
        let after = seed.below(60);
        // Nothing is waited for with it: it makes the kill come at any moment between two answers.
        let longer = Duration::from_micros(seed.below(5_000));
        let address = self.home.address().to_owned();
        let live = try_join_all(self.people.iter_mut().map(|person| person.live(&address, &moment)));
        let home = &mut self.home;
        let kill = async {
            moment.until(after).await?;
            tokio::time::timeout(longer, std::future::pending::<()>()).await.ok();
            moment.comes();
            home.kill().await
        };
        tokio::try_join!(live, kill)?;
        Ok(())
    }

    /// The home as it was left, and as the next server leaves it.
    async fn check(&mut self) -> Result<()> {
        self.home.until_zero(PATIENCE).await?;
        let left = findings(&self.home).await?;
        let worse: Vec<_> =
            left.iter().filter(|(kind, _)| !LEFT_BY_A_KILL.contains(&kind.as_str())).collect();
        ensure!(worse.is_empty(), "the kill has left {worse:#?}");
        self.home.start_again().await?;
        let mut client = self.home.client().await?;
        for person in &mut self.people {
            person.check(&mut client, &self.home).await?;
        }
        drop(client);
        self.home.stop().await?;
        let left = findings(&self.home).await?;
        ensure!(left.is_empty(), "a server that has ended well has left {left:#?}");
        self.home.start_again().await
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_kills_at_any_moment() -> Result<()> {
    let mut seed = Seed::from_environment();
    let rounds = std::env::var("SKEIN_ROUNDS").map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let mut campaign = Campaign::new(&mut seed).await?;
    for round in 1..=rounds {
        campaign.until_a_kill(&mut seed).await.with_context(|| format!("round {round}"))?;
        campaign.check().await.with_context(|| format!("after the kill of round {round}"))?;
        if rounds > ROUNDS && round % 10 == 0 {
            eprintln!("{round} rounds");
        }
    }
    let acknowledged: usize = campaign.people.iter().map(Person::acknowledged).sum();
    eprintln!("{acknowledged} turns were acknowledged");
    ensure!(acknowledged as u64 >= rounds, "only {acknowledged} turns in {rounds} rounds");
    campaign.home.finish().await
}
