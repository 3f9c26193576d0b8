//! The model of new threads, for people, and whether its provider has its key.

use std::ffi::OsString;

use super::{OFFLINE, ServerConfig};

/// The provider of new threads lacks its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the provider {provider} has no key: set {variable} in the environment of the server, and start it again"
)]
pub struct MissingKey {
    /// The provider.
    pub provider: String,
    /// The environment variable that holds the key.
    pub variable: String,
}

impl ServerConfig {
    /// The key that the provider of new threads lacks in this environment.
    pub fn missing_key(&self, variable: impl Fn(&str) -> Option<OsString>) -> Option<MissingKey> {
        let spec = self.providers.get(&self.model_provider)?;
        let name = spec.env_key.as_ref().filter(|_| !spec.has_headers())?;
        let is_set = variable(name).is_some_and(|value| !value.is_empty());
        (!is_set).then(|| MissingKey { provider: self.model_provider.clone(), variable: name.clone() })
    }

    /// A sentence about the model of new threads.
    pub fn model_in_words(&self) -> String {
        let (model, provider) = (&self.model, &self.model_provider);
        let name = if model.is_empty() { provider.clone() } else { format!("{model} of {provider}") };
        if OFFLINE.contains(&provider.as_str()) {
            return format!(
                "The model is {name}, which works without a network; docs/models.md connects another."
            );
        }
        match self.missing_key(|name| std::env::var_os(name)) {
            Some(missing) => format!("The model is {name}, and {missing}."),
            None => format!("The model is {name}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_without_its_key_is_named_with_the_variable() {
        let config = ServerConfig { model_provider: "openai".to_owned(), ..ServerConfig::default() };
        let missing = config.missing_key(|_| None).unwrap();
        assert!(missing.to_string().contains("OPENAI_API_KEY"), "{missing}");
        assert_eq!(config.missing_key(|_| Some(OsString::new())), Some(missing));
        assert_eq!(config.missing_key(|_| Some("key".into())), None);
        let offline = ServerConfig { model_provider: "echo".to_owned(), ..ServerConfig::default() };
        assert_eq!(offline.missing_key(|_| None), None);
        assert!(offline.model_in_words().contains("without a network"));
    }
}
