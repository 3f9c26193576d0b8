//! The thread's settings: what changes them, and that the change is recorded.

use skein_protocol::thread::{ThreadForkParams, ThreadResumeParams};
use skein_protocol::turn::TurnStartParams;

use super::{Owner, Waiter};
use crate::rollout::Keep;
use crate::rollout::record::{ThreadMeta, ThreadSettings};
use crate::thread::pictures;
use crate::thread::subscribers::Role;

impl Owner {
    /// What the thread works with.
    pub(super) fn settings(&self) -> ThreadSettings {
        self.journal.as_ref().map(|journal| journal.history.settings().clone()).unwrap_or_default()
    }

    /// Settings that come with a turn hold from then on.
    pub(super) fn change_for_turn(&mut self, params: &TurnStartParams) {
        self.change_settings(Keep::Process, |settings| {
            set(&mut settings.cwd, params.cwd.as_ref());
            set(&mut settings.model, params.model.as_ref());
            set_option(&mut settings.reasoning_effort, params.effort.as_ref());
            set_option(&mut settings.service_tier, params.service_tier.as_ref());
            set_option(&mut settings.approval_policy, params.approval_policy.as_ref());
            set_option(&mut settings.approvals_reviewer, params.approvals_reviewer.as_ref());
            set_option(&mut settings.sandbox, params.sandbox_policy.as_ref());
            set_option(&mut settings.personality, params.personality.as_ref());
        });
    }

    /// Settings that come with a resume hold from then on.
    pub(super) fn change_for_resume(&mut self, params: &ThreadResumeParams) {
        self.change_settings(Keep::Process, |settings| {
            set(&mut settings.cwd, params.cwd.as_ref());
            set(&mut settings.model, params.model.as_ref());
            set(&mut settings.model_provider, params.model_provider.as_ref());
            set_option(&mut settings.service_tier, params.service_tier.as_ref());
            set_option(&mut settings.approval_policy, params.approval_policy.as_ref());
            set_option(&mut settings.approvals_reviewer, params.approvals_reviewer.as_ref());
            set_option(&mut settings.sandbox, params.sandbox.map(pictures::sandbox).as_ref());
            set_option(&mut settings.base_instructions, params.base_instructions.as_ref());
            set_option(&mut settings.developer_instructions, params.developer_instructions.as_ref());
            set_option(&mut settings.personality, params.personality.as_ref());
            if let Some(config) = &params.config {
                settings.config.clone_from(config);
            }
        });
    }

    /// Settings that come with a fork are its own from the beginning.
    fn change_for_fork(&mut self, params: &ThreadForkParams) {
        self.change_settings(Keep::Power, |settings| {
            set(
                &mut settings.cwd,
                params.cwd.as_deref().map(|cwd| pictures::working_directory(Some(cwd))).as_ref(),
            );
            set(&mut settings.model, params.model.as_ref());
            set(&mut settings.model_provider, params.model_provider.as_ref());
            set_option(&mut settings.service_tier, params.service_tier.as_ref());
            set_option(&mut settings.approval_policy, params.approval_policy.as_ref());
            set_option(&mut settings.approvals_reviewer, params.approvals_reviewer.as_ref());
            set_option(&mut settings.sandbox, params.sandbox.map(pictures::sandbox).as_ref());
            set_option(&mut settings.base_instructions, params.base_instructions.as_ref());
            set_option(&mut settings.developer_instructions, params.developer_instructions.as_ref());
            if let Some(config) = &params.config {
                settings.config.clone_from(config);
            }
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

fn set<T: Clone>(setting: &mut T, to: Option<&T>) {
    if let Some(to) = to {
        setting.clone_from(to);
    }
}

fn set_option<T: Clone>(setting: &mut Option<T>, to: Option<&T>) {
    if let Some(to) = to {
        *setting = Some(to.clone());
    }
}
