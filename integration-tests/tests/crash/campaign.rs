//! A campaign of kills: people run turns, name, archive and revert threads, while the server is killed at any
//! moment. Afterwards everything acknowledged must be there. `SKEIN_SEED` repeats a campaign, `SKEIN_ROUNDS`
//! sets its number of kills; `scripts/crash` runs many campaigns.

mod person;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::paths::run_skein;
use skein_integration_tests::seed::Seed;

use person::{Moment, Person};

/// Default number of kills.
const ROUNDS: u64 = 6;
/// Number of concurrent people.
const PEOPLE: usize = 4;
/// Findings that a kill may leave and the next start resolves: unfinished writes and work, and the address
/// file of a dead server.
const LEFT_BY_A_KILL: [&str; 5] = ["tornEnd", "begun", "markerAlone", "leftover", "serverJson"];

/// Findings of `skein fsck` in an unserved home: the kinds, and the text of each. It reads files only.
async fn findings(home: &Home) -> Result<Vec<(String, String)>> {
    if home.has_database() {
        return Ok(Vec::new());
    }
    let checked = run_skein(&home.path(), ["fsck", "--json"]).await?;
    let output = String::from_utf8(checked.stdout)?;
    let lines: Vec<Value> = output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (summary, findings) = lines.split_last().context("no summary")?;
    let code = checked.status.code().context("a signal")?;
    ensure!(code == if findings.is_empty() { 0 } else { 4 }, "exit code {code}: {output}");
    let found = summary["summary"]["findings"].as_u64().context("no count")?;
    ensure!(found == findings.len() as u64, "{output}");
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

    /// All people act until the server is killed.
    async fn until_a_kill(&mut self, seed: &mut Seed) -> Result<()> {
        let moment = Moment::default();
        let after = seed.below(60);
        // Not a wait for a fact: the delay spreads the kill over all moments between two answers.
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

    /// Checks the home as the kill left it, and as the next server leaves it.
    async fn check(&mut self) -> Result<()> {
        self.home.until_drained(PATIENCE).await?;
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
        ensure!(left.is_empty(), "an orderly stop has left {left:#?}");
        self.home.start_again().await
    }
}

#[tokio::test]
async fn acknowledged_work_survives_kills_at_any_moment() -> Result<()> {
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
