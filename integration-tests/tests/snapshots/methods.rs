//! A request and an answer of each method that clients use, for METHODS.md.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::paths;
use skein_integration_tests::snapshot::{Recording, compare};
use skein_protocol::methods::{
    AccountRateLimitsRead, AccountRead, AccountUsageRead, CollaborationModeList, ConfigBatchWrite,
    ConfigMcpServerReload, ConfigRead, ConfigRequirementsRead, ConfigValueWrite, ExperimentalFeatureList,
    FeedbackUpload, HooksList, Initialize, McpServerResourceRead, McpServerStatusList, McpServerToolCall,
    ModelList, ModelProviderCapabilitiesRead, ModelProviderList, PermissionProfileList, SkeinCatalogResume,
    SkeinConnectionLeave, SkeinCredentialAdd, SkeinCredentialList, SkeinCredentialRevoke, SkeinThreadUnload,
    SkillsList, ThreadArchive, ThreadCompactStart, ThreadDelete, ThreadFork, ThreadGoalClear, ThreadGoalGet,
    ThreadGoalSet, ThreadInjectItems, ThreadItemsList, ThreadList, ThreadLoadedList, ThreadMetadataUpdate,
    ThreadNameSet, ThreadQueueAdd, ThreadQueueDelete, ThreadQueueList, ThreadQueueReorder, ThreadQueueStart,
    ThreadQueueUpdate, ThreadRead, ThreadReadStateUpdate, ThreadResume, ThreadRevert, ThreadRollback,
    ThreadSearch, ThreadSearchOccurrences, ThreadSettingsUpdate, ThreadStart, ThreadTurnsList,
    ThreadUnarchive, ThreadUnsubscribe, TurnInterrupt, TurnStart, TurnSteer,
};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::table::Method;
use tokio::net::TcpSocket;

/// The recording that METHODS.md shows.
const RECORDED: &str = include_str!("../../../protocol/src/export/recorded.txt");

/// Providers on this machine, with the addresses that METHODS.md shows.
const LOCAL: [(&str, &str); 2] =
    [("lmstudio", "http://127.0.0.1:1234/v1"), ("ollama", "http://127.0.0.1:11434/v1")];

/// An address that refuses connections while the socket lives: the socket has the port and does not listen.
fn silent_address() -> Result<(TcpSocket, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = format!("http://{}/v1", socket.local_addr()?);
    Ok((socket, address))
}

/// The origin of such an address, as `config/read` shows it.
fn origin_of(provider: &str) -> String {
    let file = r#"{"file":"<home>/config.toml","profile":null,"type":"user"}"#;
    format!(r#","model_providers.{provider}.base_url":{{"name":{file},"version":"<version>"}}"#)
}

/// A client with one thread.
struct Recorder {
    recording: Recording,
    next: i64,
    thread: Value,
}

impl Recorder {
    async fn ask<M: Method>(&mut self, params: Value) -> Result<Value> {
        self.next += 1;
        self.recording.ask::<M>(self.next, params).await
    }

    /// Asks about the thread, with more members.
    async fn of_thread<M: Method>(&mut self, more: Value) -> Result<Value> {
        let mut params = more;
        params["threadId"] = self.thread.clone();
        self.ask::<M>(params).await
    }

    async fn say(&mut self, text: &str) -> Result<Value> {
        let started =
            self.of_thread::<TurnStart>(json!({ "input": [{ "type": "text", "text": text }] })).await?;
        Ok(started["turn"]["id"].clone())
    }

    async fn turns(&mut self) -> Result<()> {
        self.say("hello").await?;
        self.recording.receive::<TurnCompleted>().await?;
        let running = self.say("/hang").await?;
        let more = json!([{ "type": "text", "text": "/hang" }]);
        self.of_thread::<TurnSteer>(json!({ "expectedTurnId": running, "input": more })).await?;
        let queued = self.queue().await?;
        self.of_thread::<TurnInterrupt>(json!({ "turnId": running })).await?;
        self.recording.receive::<TurnCompleted>().await?;
        self.of_thread::<ThreadQueueStart>(json!({ "queuedSubmissionId": queued })).await?;
        self.recording.receive::<TurnCompleted>().await?;
        Ok(())
    }

    /// Leaves one message in the queue.
    async fn queue(&mut self) -> Result<Value> {
        let mut ids = Vec::new();
        for text in ["and then", "and last"] {
            let input = json!([{ "type": "text", "text": text }]);
            let add = json!({ "clientUserMessageId": text, "input": input });
            ids.push(self.of_thread::<ThreadQueueAdd>(add).await?["queuedSubmission"]["id"].clone());
        }
        self.of_thread::<ThreadQueueReorder>(json!({ "queuedSubmissionIds": [ids[1], ids[0]] })).await?;
        let input = json!([{ "type": "text", "text": "and now" }]);
        self.of_thread::<ThreadQueueUpdate>(json!({ "queuedSubmissionId": ids[0], "input": input })).await?;
        self.of_thread::<ThreadQueueDelete>(json!({ "queuedSubmissionId": ids[1] })).await?;
        self.of_thread::<ThreadQueueList>(json!({})).await?;
        Ok(ids[0].clone())
    }

    async fn reads(&mut self) -> Result<()> {
        let read = self.of_thread::<ThreadRead>(json!({ "includeTurns": false })).await?;
        self.of_thread::<ThreadReadStateUpdate>(
            json!({ "expectedRevision": read["readState"]["revision"], "operation": { "type": "read" } }),
        )
        .await?;
        self.of_thread::<ThreadTurnsList>(json!({ "limit": 1 })).await?;
        self.of_thread::<ThreadItemsList>(json!({ "limit": 1 })).await?;
        self.of_thread::<ThreadSearchOccurrences>(json!({ "searchTerm": "hello" })).await?;
        self.ask::<ThreadSearch>(json!({ "searchTerm": "hello" })).await?;
        self.ask::<ThreadList>(json!({ "limit": 10 })).await?;
        self.ask::<ThreadLoadedList>(json!({})).await?;
        Ok(())
    }

    async fn changes(&mut self) -> Result<()> {
        self.of_thread::<ThreadNameSet>(json!({ "name": "A first thread" })).await?;
        self.of_thread::<ThreadMetadataUpdate>(json!({ "gitInfo": { "branch": "main" } })).await?;
        self.of_thread::<ThreadSettingsUpdate>(json!({ "approvalPolicy": "untrusted" })).await?;
        self.of_thread::<ThreadGoalSet>(json!({ "objective": "to the moon", "tokenBudget": 1000 })).await?;
        self.of_thread::<ThreadGoalGet>(json!({})).await?;
        self.of_thread::<ThreadGoalClear>(json!({})).await?;
        let said =
            json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "so" }] });
        self.of_thread::<ThreadInjectItems>(json!({ "items": [said] })).await?;
        self.of_thread::<ThreadFork>(json!({ "excludeTurns": true })).await?;
        self.of_thread::<ThreadRollback>(json!({ "numTurns": 1 })).await?;
        self.of_thread::<ThreadCompactStart>(json!({})).await?;
        self.recording.receive::<TurnCompleted>().await?;
        let last = self.of_thread::<ThreadTurnsList>(json!({ "limit": 1 })).await?["data"][0]["id"].clone();
        self.of_thread::<ThreadRevert>(json!({ "beforeTurnId": last })).await?;
        Ok(())
    }

    async fn helpers(&mut self) -> Result<()> {
        self.of_thread::<McpServerToolCall>(
            json!({ "server": "helper", "tool": "echo", "arguments": { "text": "hello" } }),
        )
        .await?;
        self.of_thread::<McpServerResourceRead>(json!({ "server": "helper", "uri": "memo://one" })).await?;
        self.of_thread::<McpServerStatusList>(json!({ "detail": "toolsAndAuthOnly" })).await?;
        Ok(())
    }

    async fn settings(&mut self) -> Result<()> {
        self.ask::<ConfigRead>(json!({})).await?;
        let grace = json!({ "keyPath": "unload.grace", "mergeStrategy": "replace", "value": "1s" });
        self.ask::<ConfigValueWrite>(grace.clone()).await?;
        self.ask::<ConfigBatchWrite>(json!({ "edits": [grace] })).await?;
        self.ask::<ConfigMcpServerReload>(Value::Null).await?;
        self.ask::<ConfigRequirementsRead>(Value::Null).await?;
        self.ask::<ModelList>(json!({})).await?;
        self.ask::<ModelProviderList>(json!({})).await?;
        self.ask::<ModelProviderCapabilitiesRead>(json!({})).await?;
        self.ask::<AccountRead>(json!({})).await?;
        self.ask::<AccountRateLimitsRead>(json!({})).await?;
        self.ask::<AccountUsageRead>(json!({})).await?;
        self.ask::<ExperimentalFeatureList>(json!({})).await?;
        self.ask::<FeedbackUpload>(json!({ "classification": "bug", "reason": "words" })).await?;
        self.ask::<SkillsList>(json!({})).await?;
        self.ask::<HooksList>(json!({})).await?;
        self.ask::<PermissionProfileList>(json!({})).await?;
        self.ask::<CollaborationModeList>(json!({})).await?;
        Ok(())
    }

    async fn credentials(&mut self) -> Result<()> {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let page = "http://localhost:5173";
        let token = json!({ "name": "page", "sha256": sha256, "origin": page, "scope": "chat" });
        self.ask::<SkeinCredentialAdd>(token).await?;
        self.ask::<SkeinCredentialList>(json!({})).await?;
        self.ask::<SkeinCredentialRevoke>(json!({ "id": "page" })).await?;
        Ok(())
    }

    async fn comes_and_goes(&mut self) -> Result<()> {
        self.of_thread::<ThreadUnsubscribe>(json!({})).await?;
        self.of_thread::<ThreadResume>(json!({ "excludeTurns": true })).await?;
        self.of_thread::<SkeinThreadUnload>(json!({ "force": true })).await?;
        self.of_thread::<ThreadArchive>(json!({})).await?;
        self.of_thread::<ThreadUnarchive>(json!({})).await?;
        self.of_thread::<ThreadDelete>(json!({})).await?;
        self.ask::<SkeinCatalogResume>(json!({ "after": 0, "catalogEpoch": "of an earlier start" })).await?;
        self.credentials().await?;
        self.ask::<SkeinConnectionLeave>(json!({})).await?;
        Ok(())
    }
}

#[tokio::test]
async fn each_method_that_clients_use() -> Result<()> {
    let mut setup = Home::setup().in_files().helper(Helper::named("helper")?);
    let mut silent = Vec::new();
    for (provider, documented) in LOCAL {
        let (socket, address) = silent_address()?;
        setup = setup.set(&format!("model_providers.{provider}.base_url"), address.as_str());
        silent.push((socket, address, documented));
    }
    let home = setup.start().await?;
    let recording = Recording::of_answers(Client::connect(home.address()).await?);
    let mut recorder = Recorder { recording, next: 0, thread: Value::Null };
    recorder.ask::<Initialize>(json!({ "clientInfo": { "name": "example", "version": "1.0" } })).await?;
    recorder.thread = recorder.ask::<ThreadStart>(json!({})).await?["thread"]["id"].clone();
    recorder.turns().await?;
    recorder.reads().await?;
    recorder.changes().await?;
    recorder.helpers().await?;
    recorder.settings().await?;
    recorder.comes_and_goes().await?;
    let text = recorder.recording.text().replace(&home.path().display().to_string(), "<home>");
    let text = text.replace(&paths::mcp_helper()?.display().to_string(), "<helper>");
    let text = silent.iter().fold(text, |text, (_, address, documented)| text.replace(address, documented));
    let text = LOCAL.iter().fold(text, |text, (provider, _)| text.replace(&origin_of(provider), ""));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/src/export/recorded.txt");
    compare(&text, &file, RECORDED)?;
    home.finish().await
}
