//! The thread's settings: what changes them, and that the change is recorded.

use serde_json::{Value, json};
use skein_protocol::JsonObject;
use skein_protocol::event::ThreadSettingsUpdatedNotification;
use skein_protocol::notifications::ThreadSettingsUpdated;
use skein_protocol::settings::{
    AdditionalContextEntry, AdditionalContextKind, CollaborationMode, Personality,
};
use skein_protocol::thread::{
    ThreadForkParams, ThreadResumeParams, ThreadSettingsUpdateParams, ThreadSettingsUpdateResponse,
    ThreadStartParams,
};
use skein_protocol::turn::TurnStartParams;

use super::{Owner, Waiter};
use crate::config;
use crate::connection::reply::Reply;
use crate::policy;
use crate::rollout::Keep;
use crate::rollout::record::{ItemsInjected, RecordBody, ThreadMeta, ThreadSettings};
use crate::thread::pictures;
use crate::thread::subscribers::Role;

/// Sets what the params name, under the same name.
macro_rules! set_given {
    ($settings:ident, $params:ident, $($field:ident),+) => {
        $(if let Some(given) = &$params.$field {
            $settings.$field = given.clone().into();
        })+
    };
}

impl Owner {
    /// What the thread works with: as a new one where the record that says it is damaged, and no turn has ended since.
    pub(super) fn settings(&self) -> ThreadSettings {
        let recorded = self.journal.as_ref().map(|journal| journal.history.settings());
        match recorded.filter(|settings| !settings.model_provider.is_empty()) {
            Some(settings) => settings.clone(),
            None => {
                let config = self.services.config();
                pictures::new_settings(&ThreadStartParams::default(), &self.overrides, &config)
            }
        }
    }

    /// Settings that come with a turn hold from then on.
    pub(super) fn change_for_turn(&mut self, params: &TurnStartParams) {
        self.change_settings(Keep::Process, |settings| {
            set_given!(settings, params, model, service_tier, approval_policy, approvals_reviewer);
            set_given!(settings, params, personality);
            settings.cwd = directory(params.cwd.as_deref(), &settings.cwd);
            keep_given(&mut settings.reasoning_effort, params.effort.as_ref());
            keep_given(&mut settings.reasoning_summary, params.summary.as_ref());
            keep_given(&mut settings.sandbox, params.sandbox_policy.as_ref());
            choose_mode(settings, params.collaboration_mode.as_ref());
        });
    }

    /// `thread/settings/update`
    pub(super) fn update_settings(
        &mut self,
        params: &ThreadSettingsUpdateParams,
        reply: Reply<ThreadSettingsUpdateResponse>,
    ) {
        let changed = self.change_quietly(Keep::Power, |settings| {
            set_given!(settings, params, model, service_tier, approval_policy, approvals_reviewer);
            set_given!(settings, params, personality);
            settings.cwd = directory(params.cwd.as_deref(), &settings.cwd);
            keep_given(&mut settings.reasoning_effort, params.effort.as_ref());
            keep_given(&mut settings.reasoning_summary, params.summary.as_ref());
            keep_given(&mut settings.sandbox, params.sandbox_policy.as_ref());
            choose_mode(settings, params.collaboration_mode.as_ref());
        });
        self.acknowledge(reply, ThreadSettingsUpdateResponse {});
        if changed {
            self.tell_settings();
        }
    }

    /// Settings that come with a resume hold from then on.
    pub(super) fn change_for_resume(&mut self, params: &ThreadResumeParams) {
        self.change_settings(Keep::Process, |settings| {
            said_in_config(settings, params.config.as_ref());
            set_given!(settings, params, model, model_provider, service_tier, approval_policy);
            set_given!(settings, params, approvals_reviewer, base_instructions, developer_instructions);
            set_given!(settings, params, personality, config);
            settings.cwd = directory(params.cwd.as_deref(), &settings.cwd);
            settings.sandbox = params.sandbox.map(pictures::sandbox).or(settings.sandbox.take());
        });
    }

    /// Settings that come with a fork are its own from the beginning.
    fn change_for_fork(&mut self, params: &ThreadForkParams) {
        self.change_quietly(Keep::Power, |settings| {
            said_in_config(settings, params.config.as_ref());
            set_given!(settings, params, model, model_provider, service_tier, approval_policy);
            set_given!(
                settings,
                params,
                approvals_reviewer,
                base_instructions,
                developer_instructions,
                config
            );
            settings.cwd = directory(params.cwd.as_deref(), &settings.cwd);
            settings.sandbox = params.sandbox.map(pictures::sandbox).or(settings.sandbox.take());
        });
    }

    /// The settings of the resumes and the fork that wait for the load: before its helpers start, since they may name a directory.
    pub(super) fn change_for_waiting_resumes(&mut self) {
        let fork = self.waiters.values().find_map(|waiter| match waiter {
            Waiter::Fork(fork) => Some(fork.params.clone()),
            Waiter::Start(_)
            | Waiter::Resume(_)
            | Waiter::Unload(_)
            | Waiter::PutElsewhere(_)
            | Waiter::Repair(_) => None,
        });
        if let Some(params) = fork {
            self.change_for_fork(&params);
        }
        let mut waiting: Vec<_> = self
            .waiters
            .iter()
            .filter_map(|(id, waiter)| match waiter {
                Waiter::Resume(resume) if resume.role == Role::Subscriber => {
                    Some((*id, resume.params.clone()))
                }
                Waiter::Resume(_)
                | Waiter::Start(_)
                | Waiter::Fork(_)
                | Waiter::Unload(_)
                | Waiter::PutElsewhere(_)
                | Waiter::Repair(_) => None,
            })
            .collect();
        waiting.sort_by_key(|(id, _)| *id);
        for (_, params) in waiting {
            self.change_for_resume(&params);
        }
    }

    /// Changes the settings, and tells who listens.
    fn change_settings(&mut self, keep: Keep, change: impl FnOnce(&mut ThreadSettings)) {
        if self.change_quietly(keep, change) {
            self.tell_settings();
        }
    }

    /// Changes the settings, if the change is one.
    fn change_quietly(&mut self, keep: Keep, change: impl FnOnce(&mut ThreadSettings)) -> bool {
        let before = self.settings();
        let mut after = before.clone();
        change(&mut after);
        let Some(journal) = self.journal.as_mut().filter(|_| after != before) else { return false };
        let meta = ThreadMeta { settings: Some(after), git_info: None };
        journal.record(vec![meta.into()], keep);
        true
    }

    fn tell_settings(&mut self) {
        let thread_settings = pictures::shown_settings(self.id, &self.settings());
        let params = ThreadSettingsUpdatedNotification { thread_id: self.id, thread_settings };
        self.notify::<ThreadSettingsUpdated>(&params, None);
    }
}

/// Sets what the `config` of a request says of how the thread answers. The handler has refused one that cannot be used.
fn said_in_config(settings: &mut ThreadSettings, config: Option<&JsonObject>) {
    let Some(Ok(said)) = config.map(config::helpers_from_thread_config) else { return };
    settings.model = said.model.unwrap_or_else(|| settings.model.clone());
    settings.model_provider = said.model_provider.unwrap_or_else(|| settings.model_provider.clone());
    keep_given(&mut settings.reasoning_effort, said.thread.effort.as_ref());
    keep_given(&mut settings.reasoning_summary, said.thread.summary.as_ref());
    keep_given(&mut settings.service_tier, said.thread.service_tier.as_ref());
    keep_given(&mut settings.base_instructions, said.thread.instructions.as_ref());
    keep_given(&mut settings.developer_instructions, said.thread.developer_instructions.as_ref());
    keep_given(&mut settings.personality, said.thread.personality.as_ref());
}

/// What a model is told before everything else: the instructions, `usual` where the thread has none of its own, those beside
/// them, those of the mode, and the tone.
pub(super) fn instructions(settings: &ThreadSettings, usual: &str) -> Option<String> {
    let tone = settings.personality.and_then(|personality| match personality {
        Personality::None => None,
        Personality::Friendly => Some(policy::FRIENDLY),
        Personality::Pragmatic => Some(policy::PRAGMATIC),
    });
    let base = settings.base_instructions.as_deref().unwrap_or(usual);
    let beside = settings.developer_instructions.as_deref();
    let parts = [Some(base), beside, settings.mode_instructions(), tone];
    let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.trim().is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// Sets what is named.
fn keep_given<T: Clone>(setting: &mut Option<T>, given: Option<&T>) {
    if let Some(given) = given {
        *setting = Some(given.clone());
    }
}

/// The mode's model and effort are the thread's; without an effort the model thinks as hard as it does by itself.
fn choose_mode(settings: &mut ThreadSettings, mode: Option<&CollaborationMode>) {
    let Some(mode) = mode else { return };
    if !mode.settings.model.is_empty() {
        settings.model.clone_from(&mode.settings.model);
    }
    settings.reasoning_effort.clone_from(&mode.settings.reasoning_effort);
    settings.collaboration_mode = Some(mode.clone());
}

/// What the client adds to a turn, as a record behind the turn's beginning.
pub(super) fn context_of(params: &TurnStartParams) -> Option<RecordBody> {
    let items = context_items(params);
    (!items.is_empty()).then(|| ItemsInjected { items }.into())
}

/// What the client adds to a turn for the model only (`additionalContext`): what the application says is said by who runs the
/// conversation, what is not to be trusted is the user's.
pub(super) fn context_items(params: &TurnStartParams) -> Vec<Value> {
    let item = |(key, entry): (&String, &AdditionalContextEntry)| {
        let role = match entry.kind {
            AdditionalContextKind::Application => "developer",
            AdditionalContextKind::Untrusted => "user",
        };
        let text = format!("{}:\n{}", entry.name.as_ref().unwrap_or(key), entry.value);
        json!({ "type": "message", "role": role, "content": [{ "type": "input_text", "text": text }] })
    };
    params.additional_context.iter().flatten().map(item).collect()
}

/// The directory that is asked for, or the one that holds.
fn directory(asked: Option<&str>, now: &str) -> String {
    asked.map_or_else(|| now.to_owned(), |asked| pictures::working_directory(Some(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_the_instructions_of_the_thread_its_mode_and_its_tone() {
        let mut settings = ThreadSettings::default();
        assert_eq!(instructions(&settings, "usual").as_deref(), Some("usual"));
        let mode = json!({ "mode": "plan", "settings": { "model": "m", "developer_instructions": "Plan." } });
        choose_mode(&mut settings, serde_json::from_value(mode).ok().as_ref());
        settings.base_instructions = Some("own".to_owned());
        settings.developer_instructions = Some("beside".to_owned());
        settings.personality = Some(Personality::Friendly);
        let wanted = format!("own\n\nbeside\n\nPlan.\n\n{}", policy::FRIENDLY);
        assert_eq!(instructions(&settings, "usual"), Some(wanted));
        assert_eq!(settings.model, "m");
    }
}
