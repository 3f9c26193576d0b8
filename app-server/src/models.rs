//! Lists of models. A provider is asked beside, when what is known of it is old; nobody waits for it, and one that does not
//! answer costs nothing.

use std::sync::Arc;

use crate::services::Services;

/// Fetches the models of the provider that threads have unless they name another one.
pub fn refresh_default(services: &Arc<Services>) {
    let name = services.config().model_provider.clone();
    refresh(services, &name);
}

/// Fetches the models of a provider, when that is due. Only of one that the settings have a word of.
pub fn refresh(services: &Arc<Services>, name: &str) {
    let config = services.config();
    let is_named = config.model_provider == name || config.providers.get(name).is_some_and(|spec| spec.named);
    if !is_named {
        return;
    }
    let Some(provider) = services.providers.due(name, services.clock.now()) else { return };
    let (name, services) = (name.to_owned(), Arc::clone(services));
    services.tasks.clone().spawn(format!("models/{name}"), async move {
        let models = tokio::select! {
            biased;
            () = services.providers.stop.cancelled() => return,
            models = provider.models() => models,
        };
        services.providers.fetched(&name, &provider, models, services.clock.now());
    });
}
