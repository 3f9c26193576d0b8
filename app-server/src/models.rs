//! Fetches lists of models in the background when they are old. No request waits for a provider.

use std::sync::Arc;

use crate::thread::Context;

/// Fetches the models of the default provider of threads.
pub(crate) fn refresh_default(context: &Arc<Context>) {
    let name = context.config().model_provider.clone();
    refresh(context, &name);
}

/// Fetches the models of a provider that the settings mention, if due.
pub(crate) fn refresh(context: &Arc<Context>, name: &str) {
    let config = context.config();
    let is_named = config.model_provider == name || config.providers.get(name).is_some_and(|spec| spec.named);
    if !is_named {
        return;
    }
    let Some(provider) = context.providers.due(name, context.clock.now()) else { return };
    let (name, context) = (name.to_owned(), Arc::clone(context));
    context.tasks.clone().spawn(format!("models/{name}"), async move {
        let models = tokio::select! {
            biased;
            () = context.providers.stop.cancelled() => return,
            models = provider.models() => models,
        };
        context.providers.fetched(&name, &provider, models, context.clock.now());
    });
}
