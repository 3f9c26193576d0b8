//! Turns a tree of settings into a [`ServerConfig`]. The keys are the fields of the structs that are read here.

use skein_provider::spec::ProviderSpec;

use super::problem::Problems;
use super::section::{Section, Unfit};
use super::tree::Table;
use super::{Heartbeat, LocalPrograms, Overrides, ServerConfig, helpers, kinds, providers};
use crate::policy;

/// The settings that `tree` changes, over those of `start`.
pub(super) fn apply(start: ServerConfig, mut tree: Table, problems: &mut Problems) -> ServerConfig {
    let known = ProviderSpec::built_in();
    providers::lay_under(&mut tree, &known);
    let mut root = Section::new(tree, problems);
    let said = Overrides::read(&mut root);
    let mut config = ServerConfig {
        home: start.home,
        listen: start.listen,
        guard: start.guard,
        test_fences: start.test_fences,
        origin: start.origin,
        every_model: root.read(),
        ..root.read()
    };
    config.heartbeat.dead_after = dead_after(&config.heartbeat, &mut root);
    config.providers.extend(providers::read(&mut root));
    if let Some(name) = &said.model_provider {
        providers::check_default(name, &config.providers, &mut root);
    }
    warn_of_risks(&config, &mut root);
    root.finish();
    helpers::lay_over(&mut config.helpers, said.helpers, problems);
    config.model = said.model.unwrap_or(config.model);
    config.model_provider = said.model_provider.unwrap_or(config.model_provider);
    config.approval_policy = said.approval_policy.unwrap_or(config.approval_policy);
    config.sandbox_mode = said.sandbox_mode.unwrap_or(config.sandbox_mode);
    config.asks = said.features.asks.unwrap_or(config.asks);
    config.context = said.context.over(&config.context);
    config.thread = said.thread;
    config
}

/// Warns of settings that let more in than their user may know.
fn warn_of_risks(config: &ServerConfig, root: &mut Section<'_>) {
    for (at, origin) in config.browser.origins.iter().enumerate() {
        if let Some(risk) = origin.risk() {
            root.risk(&["browser", "origins"], Some(at), risk);
        }
    }
    if config.auth.local == LocalPrograms::Any {
        let risk = "\"any\" lets programs of every user of this machine in without a credential";
        root.risk(&["auth", "local"], None, risk);
    }
}

/// A later ping moves the end of the wait with it, unless the settings say both.
fn dead_after(heartbeat: &Heartbeat, root: &mut Section<'_>) -> std::time::Duration {
    let key = ["connections", "dead_after"];
    let usual = heartbeat.ping * policy::DEAD_AFTER_PINGS;
    match root.get(&key) {
        None => usual,
        Some(_) if heartbeat.dead_after > heartbeat.ping => heartbeat.dead_after,
        Some(_) => {
            root.refuse(&Unfit::at(&key, kinds::above(heartbeat.ping)));
            usual
        }
    }
}
