//! Settings of model providers, with the keys that Codex gives them.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_helpers::Secrets;
use skein_provider::spec::{ProviderSpec, WIRE_APIS, WireApi};
use skein_provider::{echo, scripted};

use super::problem::{ConfigError, Place, Problems};
use super::section::Section;
use crate::policy;

/// The longest silence that can be set, in milliseconds: a day.
const LONGEST_SILENCE_MS: u64 = 86_400_000;
/// Those that answer without a network, and have no settings.
pub(crate) const OFFLINE: [&str; 2] = [echo::NAME, scripted::NAME];
/// The variable that `requires_openai_auth` stands for.
const OPENAI_KEY: &str = "OPENAI_API_KEY";

/// Reads `model_providers`, each over the one that is known by its name. An entry that cannot be used is left out, and said.
pub(super) fn read(root: &mut Section<'_>) -> Vec<(Place, ProviderSpec)> {
    let mut read = Vec::new();
    let known = ProviderSpec::built_in();
    root.named("model_providers", |id, place, section| {
        if OFFLINE.contains(&id) {
            section.wrong(
                place.clone(),
                format!("{id} is built in, and has no settings"),
                "use another name",
            );
        }
        let base = known.get(id).cloned().unwrap_or_else(|| ProviderSpec::new(id, "", WireApi::Responses));
        read.push((place.clone(), over(base, place, section)));
    });
    read
}

/// All providers: those that are known, and what was read. What has no address, or none that can be used, goes to `problems`.
pub(super) fn lay_over(
    read: Vec<(Place, ProviderSpec)>,
    problems: &mut Problems,
) -> BTreeMap<String, ProviderSpec> {
    let mut providers = ProviderSpec::built_in();
    for (place, spec) in read {
        let key = format!("model_providers.{}.base_url", spec.id);
        // What is wrong is said already.
        if !problems.name(&key)
            && let Err((what, expected)) = check(&spec.base_url)
        {
            problems.push(ConfigError::new(place, key, what, expected));
        }
        providers.insert(spec.id.clone(), spec);
    }
    providers
}

/// Whether the provider of threads that name none is there.
pub(super) fn check_default(
    name: &str,
    providers: &BTreeMap<String, ProviderSpec>,
    place: Place,
    problems: &mut Problems,
) {
    let known: Vec<&str> = OFFLINE.into_iter().chain(providers.keys().map(String::as_str)).collect();
    if !known.contains(&name) {
        let known: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
        let expected = format!("write one of {}, or add [model_providers.{name}]", known.join(", "));
        problems.push(ConfigError::new(
            place,
            "model_provider",
            format!("{name:?} is no provider"),
            expected,
        ));
    }
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

/// Headers and pairs of the query are merged one by one, all else is replaced.
fn over(base: ProviderSpec, place: &Place, section: &mut Section<'_>) -> ProviderSpec {
    if section.text("experimental_bearer_token").is_some() {
        let expected = "name a variable of the server's environment by env_key";
        section.wrong(place.clone(), "experimental_bearer_token would be a secret in a file", expected);
    }
    let (mut query_params, mut http_headers) = (base.query_params, base.http_headers);
    let mut env_http_headers = base.env_http_headers;
    query_params.0.extend(section.text_map("query_params").unwrap_or_default());
    http_headers.0.extend(section.text_map("http_headers").unwrap_or_default());
    env_http_headers.extend(section.text_map("env_http_headers").unwrap_or_default());
    let requires_openai_auth = section.flag("requires_openai_auth").unwrap_or(false);
    let env_key = section.text("env_key").or(base.env_key);
    let silence = section.whole("stream_idle_timeout_ms", 1, LONGEST_SILENCE_MS).map(Duration::from_millis);
    ProviderSpec {
        name: section.text("name").unwrap_or(base.name),
        base_url: section.text("base_url").unwrap_or(base.base_url),
        env_key: env_key.or_else(|| requires_openai_auth.then(|| OPENAI_KEY.to_owned())),
        env_key_instructions: section.text("env_key_instructions").or(base.env_key_instructions),
        wire_api: section.choice("wire_api", WIRE_APIS).unwrap_or(base.wire_api),
        query_params: Secrets(query_params.0),
        http_headers: Secrets(http_headers.0),
        env_http_headers,
        request_max_retries: retries(section, "request_max_retries").unwrap_or(base.request_max_retries),
        stream_max_retries: retries(section, "stream_max_retries").unwrap_or(base.stream_max_retries),
        stream_idle_timeout: silence.unwrap_or(base.stream_idle_timeout),
        max_output_tokens: section.whole("max_output_tokens", 1, u32::MAX).or(base.max_output_tokens),
        max_tools: section.whole("max_tools", 1, u32::MAX).or(base.max_tools),
        models: section.texts("models").unwrap_or(base.models),
        named: true,
        id: base.id,
    }
}

fn retries(section: &mut Section<'_>, key: &'static str) -> Option<u32> {
    section.whole(key, 0, policy::MODEL_RETRIES_MOST)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{ConfigErrors, tree};
    use super::*;

    fn load(text: &str) -> Result<BTreeMap<String, ProviderSpec>, ConfigErrors> {
        let mut problems = Problems::default();
        let table = tree::from_text(Path::new("config.toml"), text, &mut problems);
        let mut root = Section::new("", table, &mut problems);
        let read = read(&mut root);
        root.finish();
        let providers = lay_over(read, &mut problems);
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
    fn what_cannot_be_used_is_said_without_secrets() {
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
