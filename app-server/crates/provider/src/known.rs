//! All providers, built in and configured, with their lists of models. Connections and lists are kept while the
//! settings stay the same. Lists are fetched in the background; nobody waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http::{HttpProvider, ReadVariable};
use super::spec::ProviderSpec;
use super::{ListedModel, Provider, ProviderError};
use crate::policy;

/// The providers, by the name that `model_provider` has.
pub struct Providers {
    built_in: Vec<(&'static str, Arc<dyn Provider>)>,
    configured: RwLock<BTreeMap<String, Configured>>,
    variable: ReadVariable,
    /// Unknown models that the log has already named.
    unknown: Mutex<BTreeSet<String>>,
    /// Ends background fetches.
    pub stop: CancellationToken,
}

struct Configured {
    spec: ProviderSpec,
    provider: Arc<dyn Provider>,
    fetched: Vec<ListedModel>,
    /// Whether the last fetch got an answer.
    answers: bool,
    /// When to fetch the list again; `None` during a fetch.
    due: Option<Option<Instant>>,
}

impl Default for Providers {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Providers {
    /// The built-in providers only.
    pub fn new(built_in: Vec<(&'static str, Arc<dyn Provider>)>) -> Self {
        Self {
            built_in,
            configured: RwLock::default(),
            variable: |name| std::env::var_os(name),
            unknown: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Replaces the configured providers. Unchanged ones are kept.
    pub fn configure(&self, specs: &BTreeMap<String, ProviderSpec>) {
        let mut configured = self.write();
        let mut earlier = std::mem::take(&mut *configured);
        for (name, spec) in specs {
            let kept = earlier.remove(name).filter(|kept| kept.spec == *spec);
            let made = || Configured {
                spec: spec.clone(),
                provider: Arc::new(HttpProvider::new(spec.clone(), self.variable)),
                fetched: Vec::new(),
                answers: false,
                due: Some(None),
            };
            configured.insert(name.clone(), kept.unwrap_or_else(made));
        }
    }

    /// Whether this model is unknown for the first time. Remembers a bounded number of names; beyond it the answer is
    /// no.
    pub fn is_news(&self, model: &str) -> bool {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.len() < policy::MODEL_LIST_MOST && unknown.insert(model.to_owned())
    }

    /// The provider of this name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Provider>> {
        let built_in = self.built_in.iter().find(|(known, _)| *known == name);
        built_in
            .map(|(_, provider)| Arc::clone(provider))
            .or_else(|| self.read().get(name).map(|configured| Arc::clone(&configured.provider)))
    }

    /// All names, for messages.
    pub fn names(&self) -> Vec<String> {
        let built_in = self.built_in.iter().map(|(name, _)| (*name).to_owned());
        built_in.chain(self.read().keys().cloned()).collect()
    }

    /// Whether a request to this provider needs nothing more: it works offline, its key is set, or it has answered on this
    /// machine.
    pub fn is_ready(&self, name: &str) -> bool {
        if self.built_in.iter().any(|(known, _)| *known == name) {
            return true;
        }
        let configured = self.read();
        let Some(Configured { spec, answers, .. }) = configured.get(name) else { return false };
        let is_set = |name: &String| {
            (self.variable)(name).is_some_and(|value| !value.to_string_lossy().trim().is_empty())
        };
        let has_keys = spec.env_key.iter().chain(spec.env_http_headers.values()).all(is_set);
        has_keys && (*answers || !spec.is_local())
    }

    /// The providers on this machine, whether they answer or not.
    pub fn local(&self) -> Vec<String> {
        let configured = self.read();
        let local = configured.iter().filter(|(_, configured)| configured.spec.is_local());
        local.map(|(name, _)| name.clone()).collect()
    }

    /// The models of a provider: those of the settings, then those that it listed.
    pub fn models(&self, name: &str) -> Vec<ListedModel> {
        let configured = self.read();
        let Some(configured) = configured.get(name) else { return Vec::new() };
        let mut models: Vec<ListedModel> = configured.fetched.clone();
        let named = configured.spec.models.iter().rev();
        for id in named {
            let at = models.iter().position(|model| model.id == *id);
            let model = at.map(|at| models.remove(at));
            models.insert(0, model.unwrap_or_else(|| ListedModel { id: id.clone(), display_name: None }));
        }
        models
    }

    /// The provider of this name, if its models are due. The caller reports the outcome to [`Providers::fetched`].
    #[must_use = "nobody else fetches them"]
    pub fn due(&self, name: &str, now: Instant) -> Option<Arc<dyn Provider>> {
        let mut configured = self.write();
        let configured = configured.get_mut(name)?;
        let is_due = configured.due.is_some_and(|due| due.is_none_or(|due| due <= now));
        is_due.then(|| {
            configured.due = None;
            Arc::clone(&configured.provider)
        })
    }

    /// Stores a list fetched from `provider`. After an error the previous list stays.
    pub fn fetched(
        &self,
        name: &str,
        provider: &Arc<dyn Provider>,
        models: Result<Option<Vec<ListedModel>>, ProviderError>,
        now: Instant,
    ) {
        let mut configured = self.write();
        let of_this = |configured: &&mut Configured| Arc::ptr_eq(&configured.provider, provider);
        let Some(configured) = configured.get_mut(name).filter(of_this) else { return };
        configured.answers = models.is_ok();
        let keep = match models {
            Ok(models) => {
                configured.fetched = models.unwrap_or_default();
                policy::MODEL_LIST_KEEP
            }
            Err(error) => {
                tracing::debug!(provider = name, %error, "no list of models");
                policy::MODEL_LIST_RETRY
            }
        };
        configured.due = Some(Some(now + keep));
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Configured>> {
        self.configured.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Configured>> {
        self.configured.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use skein_base::clock::Clock;

    use super::super::echo::{self, Echo};
    use super::*;

    fn listed(id: &str) -> ListedModel {
        ListedModel { id: id.to_owned(), display_name: Some(format!("The {id}")) }
    }

    fn providers() -> Providers {
        Providers::new(vec![(echo::NAME, Arc::new(Echo::default()))])
    }

    #[test]
    fn a_provider_is_kept_while_its_settings_are_the_same() {
        let (providers, mut specs) = (providers(), ProviderSpec::built_in());
        assert!(providers.get("openai").is_none() && providers.get("echo").is_some());
        providers.configure(&specs);
        let (openai, ollama) = (providers.get("openai").unwrap(), providers.get("ollama").unwrap());
        assert_eq!(providers.names(), ["echo", "anthropic", "lmstudio", "ollama", "openai", "openai-chat"]);
        specs.get_mut("ollama").unwrap().models = vec!["m".to_owned()];
        specs.remove("anthropic");
        providers.configure(&specs);
        assert!(Arc::ptr_eq(&openai, &providers.get("openai").unwrap()));
        assert!(!Arc::ptr_eq(&ollama, &providers.get("ollama").unwrap()));
        assert!(providers.get("anthropic").is_none() && providers.get("nobody").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_is_ready_with_its_key_or_when_it_answers_on_this_machine() {
        let mut providers = providers();
        providers.variable = |name| (name == "OPENAI_API_KEY").then(|| " key ".into());
        let mut specs = ProviderSpec::built_in();
        let far = ProviderSpec::new("far", "https://example.org/v1", crate::spec::WireApi::Chat);
        specs.insert("far".to_owned(), far);
        providers.configure(&specs);
        let ready = || {
            let names = providers.names().into_iter();
            names.filter(|name| providers.is_ready(name)).collect::<Vec<_>>()
        };
        assert_eq!(ready(), ["echo", "far", "openai", "openai-chat"]);
        assert_eq!(providers.local(), ["lmstudio", "ollama"]);
        for (answer, is_ready) in
            [(Ok(Some(vec![listed("a")])), true), (Err(ProviderError::new("away")), false)]
        {
            let provider = providers.due("ollama", Clock.now()).unwrap();
            providers.fetched("ollama", &provider, answer, Clock.now());
            assert_eq!(providers.is_ready("ollama"), is_ready);
            tokio::time::advance(policy::MODEL_LIST_KEEP).await;
        }
        assert!(!providers.is_ready("nobody"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_fetched_once_in_a_while_by_one() {
        let (providers, mut specs) = (providers(), ProviderSpec::built_in());
        specs.get_mut("ollama").unwrap().models = vec!["b".to_owned(), "own".to_owned()];
        providers.configure(&specs);
        let now = || Clock.now();
        assert!(providers.due("echo", now()).is_none());
        let provider = providers.due("ollama", now()).unwrap();
        assert!(providers.due("ollama", now()).is_none(), "somebody is at it");
        providers.fetched("ollama", &provider, Ok(Some(vec![listed("a"), listed("b")])), now());
        let bare = ListedModel { id: "own".to_owned(), display_name: None };
        assert_eq!(providers.models("ollama"), [listed("b"), bare.clone(), listed("a")]);
        assert!(providers.due("ollama", now()).is_none());
        tokio::time::advance(policy::MODEL_LIST_KEEP).await;
        let provider = providers.due("ollama", now()).unwrap();
        providers.fetched("ollama", &provider, Err(ProviderError::new("away")), now());
        assert_eq!(providers.models("ollama"), [listed("b"), bare, listed("a")], "what is known stays");
        tokio::time::advance(policy::MODEL_LIST_RETRY).await;
        // A list fetched with older settings is dropped.
        let provider = providers.due("ollama", now()).unwrap();
        specs.get_mut("ollama").unwrap().models.clear();
        providers.configure(&specs);
        providers.fetched("ollama", &provider, Ok(Some(vec![listed("old")])), now());
        assert_eq!(providers.models("ollama"), []);
        assert!(providers.due("ollama", now()).is_some());
    }
}
