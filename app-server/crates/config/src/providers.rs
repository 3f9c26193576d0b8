//! Settings of model providers, with the keys that Codex gives them.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use skein_helpers::Secrets;
use skein_provider::spec::{ProviderSpec, WireApi};
use skein_provider::{echo, scripted};

use super::kinds::{FileForm, Milliseconds, texts, texts_by_name, whole};
use super::models::MOST_OUTPUT;
use super::secrets;
use super::section::Section;
use super::tree::{self, Node, Table};
use crate::policy;

/// The longest silence that can be set, in milliseconds: a day.
const LONGEST_SILENCE_MS: u64 = 86_400_000;
const RETRIES_MOST: i64 = policy::MODEL_RETRIES_MOST as i64;
/// The providers that answer without a network, and have no settings.
pub const OFFLINE: [&str; 2] = [echo::NAME, scripted::NAME];
/// The variable that `requires_openai_auth` stands for.
const OPENAI_KEY: &str = "OPENAI_API_KEY";
/// The table of providers.
const PROVIDERS: &str = "model_providers";

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "ProviderSpec", default = "unnamed")]
struct ProviderKeys {
    #[serde(skip)]
    id: String,
    /// Its name for people.
    name: String,
    /// Its address, without the part that the interface adds.
    #[schemars(example = "https://models.example.org/v1")]
    base_url: String,
    /// The variable of the server's environment with its key.
    env_key: Option<String>,
    /// How to get such a key, for errors.
    env_key_instructions: Option<String>,
    /// The interface that it speaks.
    wire_api: WireApi,
    /// Pairs of the query of each request.
    #[serde(deserialize_with = "texts_by_name")]
    #[schemars(with = "BTreeMap<String, String>")]
    query_params: Secrets,
    /// Headers of each request, with their values.
    #[serde(deserialize_with = "texts_by_name")]
    #[schemars(with = "BTreeMap<String, String>")]
    http_headers: Secrets,
    /// Headers of each request, with the variables of the server's environment that have their values.
    #[serde(deserialize_with = "texts_by_name")]
    env_http_headers: BTreeMap<String, String>,
    /// How often a request is sent again that was not answered.
    #[serde(deserialize_with = "whole::<0, RETRIES_MOST, _, _>")]
    #[schemars(range(min = 0, max = RETRIES_MOST))]
    request_max_retries: u32,
    /// How often a request is sent again whose answer broke off.
    #[serde(deserialize_with = "whole::<0, RETRIES_MOST, _, _>")]
    #[schemars(range(min = 0, max = RETRIES_MOST))]
    stream_max_retries: u32,
    /// How long an answer may be silent, in milliseconds.
    #[serde(rename = "stream_idle_timeout_ms", with = "Milliseconds::<LONGEST_SILENCE_MS>")]
    stream_idle_timeout: Duration,
    /// Tokens of one answer.
    #[serde(deserialize_with = "whole::<1, MOST_OUTPUT, _, _>")]
    #[schemars(range(min = 1, max = MOST_OUTPUT), example = 32_000)]
    max_output_tokens: Option<u32>,
    /// The most tools that a request may offer.
    #[schemars(example = 128)]
    #[serde(deserialize_with = "whole::<1, MOST_OUTPUT, _, _>")]
    #[schemars(range(min = 1, max = MOST_OUTPUT))]
    max_tools: Option<u32>,
    /// Names of its models, for lists.
    #[serde(deserialize_with = "texts")]
    models: Vec<String>,
    #[serde(skip)]
    named: bool,
}

/// Keys of Codex's that say something else in Skein's words.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PeerKeys {
    requires_openai_auth: bool,
    experimental_bearer_token: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ProviderEntry(#[serde(with = "ProviderKeys")] ProviderSpec);

/// The keys of a provider.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its keys are asked for")]
pub(super) struct ProviderTable {
    #[serde(flatten)]
    keys: ProviderKeys,
    /// Whether the key is that of OpenAI: `env_key = "OPENAI_API_KEY"`, as Codex says it.
    requires_openai_auth: bool,
}

fn unnamed() -> ProviderSpec {
    ProviderSpec::new("", "", WireApi::Responses)
}

/// Puts the providers that are `known` under those of the settings that have their names. Headers and pairs of the query are
/// merged one by one, all else is replaced.
pub(super) fn lay_under(settings: &mut Table, known: &BTreeMap<String, ProviderSpec>) {
    let Some(Node { value: tree::Value::Table(said), .. }) = settings.get_mut(PROVIDERS) else { return };
    for (name, node) in said {
        let Some(base) = known.get(name).map(|spec| json!(ProviderEntry(spec.clone()))) else { continue };
        let mut all = base.as_object().map(tree::from_json).unwrap_or_default();
        // Errors about headers and pairs name the place that the user wrote.
        all.retain(|_, node| !matches!(&node.value, tree::Value::Table(none) if none.is_empty()));
        if let tree::Value::Table(said) = &mut node.value {
            tree::merge_all(&mut all, std::mem::take(said));
            *said = all;
        }
    }
}

/// Reads `model_providers`. A provider without an address that can be used is an error.
pub(super) fn read(root: &mut Section<'_>) -> BTreeMap<String, ProviderSpec> {
    let peer = root.read_each::<PeerKeys>(PROVIDERS);
    let mut providers = BTreeMap::new();
    for (id, ProviderEntry(mut spec)) in root.read_each::<ProviderEntry>(PROVIDERS) {
        let keys = [PROVIDERS, &id];
        if OFFLINE.contains(&id.as_str()) {
            root.wrong(&keys, format!("{id} is built in, and has no settings"), "use another name");
        }
        let said = peer.get(&id);
        if said.is_some_and(|said| said.experimental_bearer_token.is_some()) {
            let expected = "name a variable of the server's environment by env_key";
            root.wrong(&keys, "experimental_bearer_token would be a secret in a file", expected);
        }
        if let Err((what, expected)) = check(&spec.base_url) {
            root.wrong_member(&keys, "base_url", what, expected);
        }
        if said.is_some_and(|said| said.requires_openai_auth) {
            spec.env_key.get_or_insert_with(|| OPENAI_KEY.to_owned());
        }
        if spec.name.is_empty() {
            spec.name.clone_from(&id);
        }
        providers.insert(id.clone(), ProviderSpec { id, named: true, ..spec });
    }
    providers
}

/// Whether the provider of threads that name none is there.
pub(super) fn check_default(name: &str, providers: &BTreeMap<String, ProviderSpec>, root: &mut Section<'_>) {
    let known: Vec<&str> = OFFLINE.into_iter().chain(providers.keys().map(String::as_str)).collect();
    if !known.contains(&name) {
        let known: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
        let expected = format!("write one of {}, or add [model_providers.{name}]", known.join(", "));
        root.wrong(&["model_provider"], format!("{name:?} is no provider"), expected);
    }
}

/// A provider by the keys of the file, without secrets.
pub(super) fn shown(spec: &ProviderSpec) -> Value {
    let mut all = json!(ProviderEntry(spec.clone()));
    all["requires_openai_auth"] = json!(false);
    all["max_tools"] = json!(spec.most_tools());
    secrets::hide(&[PROVIDERS, &spec.id], all)
}

/// Without the address itself, which may have secrets in it.
fn check(base_url: &str) -> Result<(), (String, &'static str)> {
    let expected = "write base_url = \"https://HOST/v1\", the address that /responses, /chat/completions or /messages follow";
    if base_url.is_empty() {
        return Err(("this provider has no base_url".to_owned(), expected));
    }
    match reqwest::Url::parse(base_url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        Ok(url) => Err((format!("an address that begins with {}: cannot be used", url.scheme()), expected)),
        Err(error) => Err((format!("it is no address: {error}"), expected)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::ConfigErrors;
    use super::super::problem::Problems;
    use super::*;

    fn load(text: &str) -> Result<BTreeMap<String, ProviderSpec>, ConfigErrors> {
        let mut problems = Problems::default();
        let mut table = tree::from_text(Path::new("config.toml"), text, &mut problems);
        let mut providers = ProviderSpec::built_in();
        lay_under(&mut table, &providers);
        let mut root = Section::new(table, &mut problems);
        providers.extend(read(&mut root));
        root.finish();
        problems.finish().map(|warnings| {
            assert_eq!(warnings, []);
            providers
        })
    }

    #[test]
    fn every_key_sets_what_it_names() {
        let text = r#"
            [model_providers.mine]
            name = "Mine"
            base_url = "https://models.example.org/v1"
            env_key = "MY_KEY"
            env_key_instructions = "ask me"
            wire_api = "chat"
            query_params = { version = "1" }
            http_headers = { X-A = "a" }
            env_http_headers = { X-B = "B" }
            request_max_retries = 1
            stream_max_retries = 0
            stream_idle_timeout_ms = 1500
            requires_openai_auth = true
            max_output_tokens = 100
            max_tools = 200
            models = ["one", "two"]
        "#;
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let expected = ProviderSpec {
            id: "mine".to_owned(),
            name: "Mine".to_owned(),
            base_url: "https://models.example.org/v1".to_owned(),
            env_key: Some("MY_KEY".to_owned()),
            env_key_instructions: Some("ask me".to_owned()),
            wire_api: WireApi::Chat,
            query_params: Secrets(map("version", "1")),
            http_headers: Secrets(map("X-A", "a")),
            env_http_headers: map("X-B", "B"),
            request_max_retries: 1,
            stream_max_retries: 0,
            stream_idle_timeout: Duration::from_millis(1500),
            max_output_tokens: Some(100),
            max_tools: Some(200),
            models: vec!["one".to_owned(), "two".to_owned()],
            named: true,
        };
        assert!(load(text).unwrap()["mine"] == expected);
    }

    #[test]
    fn what_is_known_is_there_and_can_be_changed() {
        let providers = load("").unwrap();
        let names: Vec<&str> = providers.keys().map(String::as_str).collect();
        assert_eq!(names, ["anthropic", "lmstudio", "ollama", "openai", "openai-chat"]);
        assert!(providers.values().all(|spec| !spec.named && check(&spec.base_url).is_ok()));
        let changed = load("[model_providers.ollama]\nbase_url = \"http://box:11434/v1\"").unwrap();
        let ollama = &changed["ollama"];
        assert_eq!((ollama.wire_api, ollama.base_url.as_str()), (WireApi::Chat, "http://box:11434/v1"));
        let login = "[model_providers.a]\nbase_url = \"http://a/v1\"\nrequires_openai_auth = true";
        assert_eq!(load(login).unwrap()["a"].env_key.as_deref(), Some("OPENAI_API_KEY"));
    }

    #[test]
    fn errors_show_no_secrets() {
        for (text, said) in [
            ("[model_providers.a]\nname = \"A\"", "no base_url"),
            ("[model_providers.a]\nbase_url = \"ftp://me:s3cret@host\"", "ftp:"),
            ("[model_providers.a]\nbase_url = \"s3cret\"", "no address"),
            ("[model_providers.a]\nbase_url = 3", "write a text"),
            ("[model_providers.a]\nbase_url = \"http://a\"\nwire_api = \"grpc\"", "\"anthropic\""),
            (
                "[model_providers.a]\nbase_url = \"http://a\"\nexperimental_bearer_token = \"s3cret\"",
                "env_key",
            ),
            ("[model_providers.a]\nbase_url = \"http://a\"\nrequest_max_retries = 101", "from 0 to 100"),
            ("[model_providers.echo]\nbase_url = \"http://a\"", "built in"),
        ] {
            let errors = load(text).expect_err(text);
            let shown = errors.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(shown.contains(said) && !shown.contains("s3cret"), "{shown}");
            assert_eq!(errors.0.len(), 1, "{shown}");
        }
    }
}
