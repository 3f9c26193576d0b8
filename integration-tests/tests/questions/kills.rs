//! A server is killed at any moment while a turn asks whether a helper may be called: over stdio and HTTP, in both revisions of
//! MCP. No call reaches its helper twice without the user's word, and no question is lost, changed or asked again after its answer.
//! `SKEIN_SEED` repeats a campaign, `SKEIN_ROUNDS` sets the number of kills; `scripts/crash` runs many campaigns.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::{Client, Received};
use skein_integration_tests::home::{Helper, Home, PATIENCE, Setup};
use skein_integration_tests::http_helper::{HttpHelper, Manner};
use skein_integration_tests::seed::Seed;
use skein_protocol::approval::{McpServerElicitationAction, McpServerElicitationRequestResponse};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::notifications::{ServerRequestResolved, TurnCompleted};
use skein_protocol::server_requests::McpServerElicitationRequest as Approval;
use skein_protocol::table::Notification;
use skein_protocol::turn::TurnStatus;
use tempfile::TempDir;

/// Default number of kills, over all helpers.
const ROUNDS: u64 = 10;
/// The time from the first request of a life to its kill, at most, in microseconds.
const LIFE: u64 = 120_000;

/// The calls that have reached a helper.
enum Calls {
    /// The helper appends a line to a file for each call.
    Files(TempDir),
    Http(HttpHelper),
}

impl Calls {
    /// The message that has the model make this call.
    fn message(&self, number: usize) -> String {
        match self {
            Self::Files(folder) => {
                let path = folder.path().join(number.to_string());
                format!("/tool helper append {}", json!({ "path": path }))
            }
            Self::Http(_) => format!("/tool helper echo {}", json!({ "text": number.to_string() })),
        }
    }

    /// How often this call has reached its helper.
    fn reached(&self, number: usize) -> usize {
        match self {
            Self::Files(folder) => {
                let path = folder.path().join(number.to_string());
                std::fs::read_to_string(path).map_or(0, |lines| lines.lines().count())
            }
            Self::Http(helper) => {
                let text = Value::from(number.to_string());
                let is_it = |body: &Value| {
                    body["method"] == "tools/call" && body["params"]["arguments"]["text"] == text
                };
                helper.seen().iter().filter(|seen| is_it(&seen.body)).count()
            }
        }
    }
}

/// A home, and its user's memory of what was asked.
struct Campaign {
    home: Home,
    seed: Seed,
    calls: Calls,
    thread: Option<ThreadId>,
    /// The calls that were asked for, counted from 1.
    number: usize,
    /// Each question, with its params and the user's answer.
    asked: HashMap<RequestId, (Value, McpServerElicitationAction)>,
    /// The questions that the server has settled.
    settled: HashSet<RequestId>,
    /// The calls that the user wanted made again, by their message.
    again: BTreeMap<String, usize>,
}

impl Campaign {
    async fn new(setup: Setup, calls: Calls, seed: Seed) -> Result<Self> {
        let home = setup.start().await?;
        Ok(Self {
            home,
            seed,
            calls,
            thread: None,
            number: 0,
            asked: HashMap::new(),
            settled: HashSet::new(),
            again: BTreeMap::new(),
        })
    }

    /// Goes on with the open turn, and has the model make one call after another.
    async fn live(&mut self) -> Result<()> {
        let (mut client, thread) = self.come_back().await?;
        loop {
            self.number += 1;
            client.start_turn(thread, &self.calls.message(self.number)).await?;
            self.end_turn(&mut client).await?;
        }
    }

    /// Resumes the thread, and ends its open turn.
    async fn come_back(&mut self) -> Result<(Client, ThreadId)> {
        let mut client = self.home.client().await?;
        let Some(thread) = self.thread else {
            let thread = client.start_thread_with("words").await?;
            self.thread = Some(thread);
            return Ok((client, thread));
        };
        let resumed = client.resume(thread).await?;
        if resumed.thread.turns.last().is_some_and(|turn| turn.status == TurnStatus::InProgress) {
            self.end_turn(&mut client).await?;
        }
        Ok((client, thread))
    }

    /// Answers questions until the turn ends.
    async fn end_turn(&mut self, client: &mut Client) -> Result<()> {
        let counts = |message: &Received| {
            let is_question = message.method().is_some() && message.id().is_some();
            is_question
                || message.method() == Some(TurnCompleted::INFO.wire)
                || message.method() == Some(ServerRequestResolved::INFO.wire)
        };
        loop {
            let message = client.until("a question, its end or that of the turn", counts).await?;
            if let Some((id, params)) = message.question::<Approval>()? {
                let action = self.answer(&id, &serde_json::to_value(&params)?)?;
                let answer = McpServerElicitationRequestResponse { meta: None, action, content: None };
                client.answer_request::<Approval>(&id, &answer).await?;
            } else if let Some(resolved) = message.notification::<ServerRequestResolved>()? {
                self.settled.insert(resolved.request_id);
            } else {
                return Ok(());
            }
        }
    }

    /// The user's answer to a question, the same each time.
    fn answer(&mut self, id: &RequestId, params: &Value) -> Result<McpServerElicitationAction> {
        ensure!(!self.settled.contains(id), "question {id:?} is asked again after its answer: {params}");
        if let Some((before, action)) = self.asked.get(id) {
            ensure!(before == params, "question {id:?} has changed: {params}, before {before}");
            return Ok(*action);
        }
        let (ours, arguments) = (&params["_meta"]["skein"], params["_meta"]["tool_params"].to_string());
        let same = |(other, (before, _)): &(&RequestId, &(Value, _))| {
            let of_call = before["_meta"]["skein"]["itemId"] == ours["itemId"];
            of_call && before["_meta"]["skein"]["mayHaveRun"].is_null() && self.settled.contains(*other)
        };
        let is_doubt = ours["mayHaveRun"] == true;
        let before = self.asked.iter().find(same);
        ensure!(is_doubt || before.is_none(), "call {arguments} is asked about twice: {before:?}");
        let action = match is_doubt && self.seed.percent(50) {
            true => McpServerElicitationAction::Decline,
            false => McpServerElicitationAction::Accept,
        };
        if is_doubt && action == McpServerElicitationAction::Accept {
            *self.again.entry(arguments).or_default() += 1;
        }
        self.asked.insert(id.clone(), (params.clone(), action));
        Ok(action)
    }

    async fn until_a_kill(&mut self) -> Result<()> {
        // Not a wait for a fact: the delay spreads the kill over all moments.
        let moment = Duration::from_micros(self.seed.below(LIFE));
        match tokio::time::timeout(moment, self.live()).await {
            Err(_) => {}
            Ok(ended) => ended.context("before the kill")?,
        }
        self.home.kill().await?;
        self.home.until_drained(PATIENCE).await?;
        self.home.start_again().await
    }

    /// Ends the last turn, and checks each call.
    async fn end(mut self) -> Result<()> {
        let (mut client, thread) = self.come_back().await?;
        let turns = client.read_thread(thread).await?.turns;
        drop(client);
        let items = || turns.iter().flat_map(|turn| &turn.items);
        for number in 1..=self.number {
            let message = self.calls.message(number);
            let arguments =
                message.split_once(" {").map(|(_, rest)| format!("{{{rest}")).context("no call")?;
            let (reached, again) =
                (self.calls.reached(number), self.again.get(&arguments).copied().unwrap_or_default());
            ensure!(
                reached <= 1 + again,
                "{arguments} has reached the helper {reached} times, wanted again {again}"
            );
            let made: Value = serde_json::from_str(&arguments)?;
            let is_made = items().any(|item| {
                let ThreadItemBody::McpToolCall(call) = &item.body else { return false };
                call.status == McpToolCallStatus::Completed && call.arguments == made
            });
            ensure!(reached > 0 || !is_made, "{arguments} has a result, and the helper has not heard of it");
        }
        let open = turns.iter().find(|turn| turn.status == TurnStatus::InProgress);
        ensure!(open.is_none(), "a turn is open: {open:?}");
        self.home.finish_drained().await
    }
}

/// A helper of each kind.
async fn campaigns(seed: &mut Seed) -> Result<Vec<Campaign>> {
    let mut all = Vec::new();
    for (speaks, isolation) in [("2025-11-25", "thread"), ("2026-07-28", "thread"), ("2025-11-25", "shared")]
    {
        let helper = Helper::with("helper", &["--speaks", speaks])?.set("isolation", isolation);
        all.push((helper, Calls::Files(TempDir::new()?)));
    }
    for manner in [Manner::Handshake, Manner::Stateless] {
        let http = HttpHelper::start(manner, None).await?;
        all.push((Helper::at("helper", &http.url()), Calls::Http(http)));
    }
    let mut campaigns = Vec::new();
    for (helper, calls) in all {
        let helper = helper.set("default_tools_approval_mode", "prompt");
        campaigns.push(Campaign::new(Home::setup().helper(helper), calls, seed.fork()).await?);
    }
    Ok(campaigns)
}

#[tokio::test]
async fn no_kill_repeats_a_call_silently_or_loses_a_question() -> Result<()> {
    let mut seed = Seed::from_environment();
    let rounds = std::env::var("SKEIN_ROUNDS").map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let mut campaigns = campaigns(&mut seed).await?;
    let kinds = campaigns.len();
    for round in 0..usize::try_from(rounds)? {
        let at = round % kinds;
        campaigns[at].until_a_kill().await.with_context(|| format!("round {round}, helper {at}"))?;
    }
    for (at, campaign) in campaigns.into_iter().enumerate() {
        let (asked, again) = (campaign.asked.len(), campaign.again.len());
        eprintln!(
            "helper {at}: {} calls, {asked} questions, {again} of them about a call in doubt",
            campaign.number
        );
        campaign.end().await.with_context(|| format!("helper {at}"))?;
    }
    Ok(())
}
