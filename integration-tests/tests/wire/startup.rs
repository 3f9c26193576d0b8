//! Requests of clients before their first thread: answered from memory, also without params.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::process;
use skein_protocol::catalogue::{HooksListParams, SkillsListParams};
use skein_protocol::config::{ConfigLayerSource, ConfigReadParams};
use skein_protocol::methods::{
    AccountBedrockCheckGovCloudRequirements, AccountRateLimitsRead, AccountRead, AccountUsageRead,
    CollaborationModeList, ConfigRead, ConfigRequirementsRead, ExperimentalFeatureList, FeedbackUpload,
    HooksList, ModelList, ModelProviderCapabilitiesRead, ModelProviderList, PermissionProfileList,
    ServerDiagnostics, SkillsList,
};
use skein_protocol::server::ModelListParams;
use skein_protocol::table::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The answer to a method with null params.
async fn bare<M: Method>(client: &mut Client) -> Result<Value> {
    Ok(client.call_raw(M::INFO.wire, &Value::Null).await??)
}

#[tokio::test]
async fn no_account_is_needed() -> Result<()> {
    let (home, mut client) = Home::setup().start_with_client().await?;
    let account = bare::<AccountRead>(&mut client).await?;
    assert_eq!((&account["account"], &account["requiresOpenaiAuth"]), (&Value::Null, &json!(false)));
    let requirements = bare::<ConfigRequirementsRead>(&mut client).await?;
    assert_eq!(requirements["requirements"], Value::Null);
    let modes = bare::<CollaborationModeList>(&mut client).await?;
    assert_eq!((&modes["data"][0]["mode"], &modes["data"][1]["mode"]), (&json!("plan"), &json!("default")));
    let profiles = bare::<PermissionProfileList>(&mut client).await?;
    assert_eq!(
        (&profiles["data"][0]["id"], &profiles["data"][1]),
        (&json!(":danger-full-access"), &Value::Null)
    );
    home.finish().await
}

#[tokio::test]
async fn requests_about_an_account_have_empty_answers() -> Result<()> {
    let (home, mut client) = Home::setup().start_with_client().await?;
    let limits = bare::<AccountRateLimitsRead>(&mut client).await?;
    assert!(limits["rateLimits"].as_object().is_some_and(|all| all.values().all(Value::is_null)), "{limits}");
    let usage = bare::<AccountUsageRead>(&mut client).await?;
    assert!(usage["summary"].as_object().is_some_and(|all| all.values().all(Value::is_null)), "{usage}");
    let region = bare::<AccountBedrockCheckGovCloudRequirements>(&mut client).await?;
    assert_eq!(region, json!({ "isGovCloud": false, "shouldWarn": false }));
    let can = bare::<ModelProviderCapabilitiesRead>(&mut client).await?;
    assert_eq!(can, json!({ "imageGeneration": false, "webSearch": false }));
    let features = bare::<ExperimentalFeatureList>(&mut client).await?;
    assert_eq!(features, json!({ "data": [], "nextCursor": null }));
    home.finish().await
}

#[tokio::test]
async fn diagnostics_are_those_of_the_server_process() -> Result<()> {
    let (home, mut client) = Home::setup().start_with_client().await?;
    let status = client.status().await?;
    let seen = bare::<ServerDiagnostics>(&mut client).await?;
    assert_eq!(seen["process"]["id"], json!(status.pid));
    assert!(seen["process"]["residentMemoryBytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{seen}");
    assert!(
        seen["gauges"]
            .as_array()
            .is_some_and(|all| all.contains(&json!({ "name": "connections", "value": 1 })))
    );
    home.finish().await
}

#[tokio::test]
async fn feedback_is_kept_in_the_home_and_named_by_its_thread() -> Result<()> {
    let (home, mut client) = Home::setup().start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let params = json!({ "classification": "bug", "reason": "it is slow", "threadId": thread });
    let kept = client.call::<FeedbackUpload>(serde_json::from_value(params)?).await?;
    assert_eq!(kept.thread_id, thread);
    let params = json!({ "classification": "idea", "includeLogs": true, "tags": { "a": "b" } });
    let kept = client.call::<FeedbackUpload>(serde_json::from_value(params)?).await?;
    let file = home.path().join("feedback").join(format!("{}.json", kept.thread_id));
    let report: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    assert_eq!((&report["classification"], &report["tags"]), (&json!("idea"), &json!({ "a": "b" })));
    assert_eq!(std::fs::read_dir(home.path().join("feedback"))?.count(), 2);
    home.finish().await
}

#[tokio::test]
async fn every_directory_has_no_skills_and_no_hooks() -> Result<()> {
    let (home, mut client) = Home::setup().start_with_client().await?;
    let asked = || Some(vec!["/one".to_owned(), "/two".to_owned()]);
    let skills = SkillsListParams { cwds: asked(), force_reload: false };
    let skills = client.call::<SkillsList>(skills).await?.data;
    assert_eq!(skills.iter().map(|entry| entry.cwd.as_str()).collect::<Vec<_>>(), ["/one", "/two"]);
    assert!(skills.iter().all(|entry| entry.skills.is_empty() && entry.errors.is_empty()));
    let hooks = client.call::<HooksList>(HooksListParams { cwds: asked(), thread_id: None }).await?.data;
    assert_eq!(hooks.iter().map(|entry| entry.cwd.as_str()).collect::<Vec<_>>(), ["/one", "/two"]);
    assert!(hooks.iter().all(|entry| entry.hooks.is_empty() && entry.errors.is_empty()));
    // Default: the server's own directory.
    let own = json!(home.beside().canonicalize()?);
    assert_eq!(bare::<SkillsList>(&mut client).await?["data"][0]["cwd"], own);
    assert_eq!(bare::<HooksList>(&mut client).await?["data"][0]["cwd"], own);
    home.finish().await
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_origins_and_without_secrets() -> Result<()> {
    let secret = "a-secret-value";
    let helper = Helper::named("helper")?.set("env.TOKEN", secret);
    let setup = Home::setup().helper(helper).set("model", "a-model").set("unload.grace", "2s");
    let (home, mut client) = setup.set("api_key", secret).start_with_client().await?;
    let read = client.call::<ConfigRead>(ConfigReadParams { cwd: None, include_layers: true }).await?;
    assert_eq!(read.config.model.as_deref(), Some("a-model"));
    assert_eq!(read.config.model_provider.as_deref(), Some("echo"));
    let shown = &read.config.others;
    assert_eq!((&shown["unload"]["grace"], &shown["durability"]), (&json!("2s"), &json!("turn")));
    let helper = &shown["mcp_servers"]["helper"];
    assert!(helper["command"].as_str().is_some_and(|command| command.ends_with("mcp-helper")), "{helper}");
    assert_eq!(helper["env"], json!({ "TOKEN": "***", process::TAG: "***" }));
    let file = home.path().join("config.toml").display().to_string();
    let user = ConfigLayerSource::User { file, profile: None };
    let layers = read.layers.clone().unwrap_or_default();
    assert_eq!(layers.iter().map(|layer| &layer.name).collect::<Vec<_>>(), [&user]);
    assert_eq!(layers[0].config["model"], json!("a-model"));
    assert_eq!(read.origins["unload.grace"].name, user);
    assert!(!read.origins.contains_key("durability"), "the default has no origin");
    assert!(!serde_json::to_string(&read)?.contains(secret), "{read:?}");
    let bare = bare::<ConfigRead>(&mut client).await?;
    assert_eq!((&bare["config"]["model"], bare.get("layers")), (&json!("a-model"), None));
    home.finish().await
}

/// The names in a list of models, and whether the first is the default.
async fn models(client: &mut Client, params: ModelListParams) -> Result<(Vec<String>, bool)> {
    let listed = client.call::<ModelList>(params).await?.data;
    let first = listed.first().is_some_and(|model| model.is_default);
    Ok((listed.into_iter().map(|model| model.id).collect(), first))
}

#[tokio::test]
async fn models_come_from_the_provider_whether_it_answers_or_not() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/v1", listener.local_addr()?);
    let there = Home::setup().set("model_provider", "mine").set("model", "own");
    let there = there.set("model_providers.mine.models", vec!["named"]);
    let (home, mut client) = there.set("model_providers.mine.base_url", address).start_with_client().await?;
    // The server asks the provider at the start, and has no answer yet.
    let known = models(&mut client, ModelListParams::default()).await?;
    assert_eq!(known, (vec!["own".to_owned(), "named".to_owned()], true));
    let body = r#"{"data":[{"id":"listed"},{"id":"named"}]}"#;
    let (mut asked, _) = listener.accept().await?;
    ensure!(asked.read(&mut [0; 1024]).await? > 0, "the server sends no request");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    asked.write_all(format!("{head}{body}").as_bytes()).await?;
    while models(&mut client, ModelListParams::default()).await?.0 != ["own", "named", "listed"] {}
    let page = ModelListParams { limit: Some(2), ..ModelListParams::default() };
    let first = client.call::<ModelList>(page.clone()).await?;
    let cursor = first.next_cursor.clone();
    assert_eq!(
        (first.data.len(), models(&mut client, ModelListParams { cursor, ..page }).await?.0),
        (2, vec!["listed".to_owned()])
    );
    let of =
        |name: &str| ModelListParams { model_provider: Some(name.to_owned()), ..ModelListParams::default() };
    assert_eq!(models(&mut client, of("echo")).await?, (vec!["echo".to_owned()], false));
    let refused = client.refusal::<ModelList>(of("nobody")).await?;
    assert!(refused.reason() == "noProvider" && refused.message.contains("mine"), "{refused:?}");
    let none = ModelListParams { cursor: Some("none".to_owned()), ..ModelListParams::default() };
    let refused = client.refusal::<ModelList>(none).await?;
    let path = refused.data.as_ref().and_then(|data| data.path.as_deref());
    assert_eq!((refused.reason(), path), ("badCursor", Some("cursor")));
    home.finish().await
}

#[tokio::test]
async fn providers_are_shown_without_secrets() -> Result<()> {
    let setup = Home::setup().set("model_provider", "mine").set("model_providers.mine.name", "My own");
    let setup = setup.set("model_providers.mine.base_url", "http://user:secret@127.0.0.1:9/v1");
    let setup = setup.set("model_providers.mine.http_headers.authorization", "Bearer secret");
    let (home, mut client) = setup.start_with_client().await?;
    let listed = bare::<ModelProviderList>(&mut client).await?;
    assert_eq!((&listed["defaultProviderId"], &listed["canChangeDefault"]), (&json!("mine"), &json!(true)));
    assert!(!listed.to_string().contains("secret"), "{listed}");
    let of = |id: &str| {
        let mut all = listed["data"].as_array().into_iter().flatten();
        all.find(|provider| provider["id"] == id).cloned().unwrap_or_default()
    };
    let gateway = |auth: Value| json!({ "type": "customGateway", "auth": auth });
    let mine = of("mine");
    assert_eq!((&mine["name"], &mine["canEdit"]), (&json!("My own"), &json!(false)));
    assert_eq!(mine["baseUrl"], "http://***@127.0.0.1:9/v1");
    assert_eq!(mine["settings"], gateway(json!({ "mode": "externallyConfigured" })));
    assert_eq!(of("openai")["settings"], json!({ "type": "openai" }));
    let key = json!({ "mode": "environmentVariable", "envKey": "ANTHROPIC_API_KEY" });
    assert_eq!(of("anthropic")["settings"], gateway(key));
    assert_eq!(of("echo")["settings"], gateway(json!({ "mode": "none" })));
    assert_eq!(of("echo")["baseUrl"], Value::Null);
    // Nothing listens at the address of `mine`.
    let ready = listed["skein"]["ready"].as_array().into_iter().flatten().cloned().collect::<Vec<_>>();
    assert!(ready.contains(&json!({ "id": "echo", "local": true })), "{ready:?}");
    assert!(ready.iter().all(|provider| provider["id"] != "mine"), "{ready:?}");
    home.finish().await
}
