//! The thread's settings: what changes them, and that the change is recorded.

use skein_protocol::thread::{ThreadForkParams, ThreadResumeParams, ThreadStartParams};
use skein_protocol::turn::TurnStartParams;

use super::{Owner, Waiter};
use crate::rollout::Keep;
use crate::rollout::record::{ThreadMeta, ThreadSettings};
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
            set_given!(
                settings,
                params,
                model,
                service_tier,
                approval_policy,
                approvals_reviewer,
                personality
            );
            settings.cwd = directory(params.cwd.as_deref(), &settings.cwd);
            if let Some(effort) = &params.effort {
                settings.reasoning_effort = Some(effort.clone());
            }
            if let Some(chosen) = &params.collaboration_mode {
                settings.mode = Some(chosen.mode);
            }
            if let Some(policy) = &params.sandbox_policy {
                settings.sandbox = Some(policy.clone());
            }
        });
    }

    /// Settings that come with a resume hold from then on.
    pub(super) fn change_for_resume(&mut self, params: &ThreadResumeParams) {
        self.change_settings(Keep::Process, |settings| {
            set_given!(settings, params, model, model_provider, service_tier, approval_policy);
            set_given!(settings, params, approvals_reviewer, base_instructions, developer_instructions);
            set_given!(settings, params, personality, config);
            settings.cwd = directory(params.cwd.as_deref(), &settings.cwd);
            settings.sandbox = params.sandbox.map(pictures::sandbox).or(settings.sandbox.take());
        });
    }

    /// Settings that come with a fork are its own from the beginning.
    fn change_for_fork(&mut self, params: &ThreadForkParams) {
        self.change_settings(Keep::Power, |settings| {
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

    fn change_settings(&mut self, keep: Keep, change: impl FnOnce(&mut ThreadSettings)) {
        let before = self.settings();
        let mut after = before.clone();
        change(&mut after);
        if after != before
            && let Some(journal) = &mut self.journal
        {
            let meta = ThreadMeta { settings: Some(after), git_info: None };
            journal.record(vec![meta.into()], keep);
        }
    }
}

/// The directory that is asked for, or the one that holds.
fn directory(asked: Option<&str>, now: &str) -> String {
    asked.map_or_else(|| now.to_owned(), |asked| pictures::working_directory(Some(asked)))
}
