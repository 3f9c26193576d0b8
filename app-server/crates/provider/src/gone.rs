//! Stands in for a provider that was removed from the settings between the request of a turn and its start.

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{ModelEvent, Prompt, Provider, ProviderError};

/// Holds the provider's name.
#[derive(Debug, Clone)]
pub struct Gone(pub String);

#[async_trait]
impl Provider for Gone {
    async fn answer(
        &self,
        _prompt: Prompt,
        _events: mpsc::Sender<ModelEvent>,
        _cancel: CancellationToken,
    ) -> Result<(), ProviderError> {
        let name = &self.0;
        Err(ProviderError::new(format!(
            "the provider {name} was just taken out of the settings; name another one"
        )))
    }

    fn reads_context(&self) -> bool {
        false
    }
}
