//! Lists of models. A provider is asked beside, when what is known of it is old; nobody waits for it, and one that does not
//! answer costs nothing.

use std::sync::Arc;

use crate::thread::Context;

/// Fetches the models of the provider that threads have unless they name another one.
pub(crate) fn refresh_default(context: &Arc<Context>) {
    let name = context.config().model_provider.clone();
    refresh(context, &name);
}

/// Fetches the models of a provider, when that is due. Only of one that the settings have a word of.
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
