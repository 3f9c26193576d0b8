//! Fetches lists of models in the background when they are old. No request waits for a provider elsewhere.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::policy;
use crate::thread::Context;

/// Fetches the models of the default provider of threads.
pub(crate) fn refresh_default(context: &Arc<Context>) {
    let name = context.config().model_provider.clone();
    refresh(context, &name);
}

/// Fetches the models of a provider that the settings mention, if due.
pub(crate) fn refresh(context: &Arc<Context>, name: &str) {
    let config = context.config();
    if config.model_provider == name || config.providers.get(name).is_some_and(|spec| spec.named) {
        fetch(context, name);
    }
}

/// Fetches the models of a provider that a client names, if it is ready and due.
pub(crate) fn refresh_asked(context: &Arc<Context>, name: &str) {
    if context.providers.is_ready(name) {
        fetch(context, name);
    }
}

/// Looks which providers on this machine answer, and waits a moment for them.
pub(crate) async fn find_local(context: &Arc<Context>) {
    let fetches: Vec<_> = context.providers.local().iter().filter_map(|name| fetch(context, name)).collect();
    let all = futures_util::future::join_all(fetches);
    // Those that are slower are ready at the next request.
    tokio::time::timeout(policy::LOCAL_PROVIDERS_WAIT, all).await.ok();
}

/// Fetches the models of a provider in the background, if due.
fn fetch(context: &Arc<Context>, name: &str) -> Option<JoinHandle<()>> {
    let provider = context.providers.due(name, context.clock.now())?;
    let (name, context) = (name.to_owned(), Arc::clone(context));
    Some(context.tasks.clone().spawn(format!("models/{name}"), async move {
        let models = tokio::select! {
            biased;
            () = context.providers.stop.cancelled() => return,
            models = provider.models() => models,
        };
        context.providers.fetched(&name, &provider, models, context.clock.now());
    }))
}
