//! The progress of a command: a bar on stderr if it is a terminal, or lines of JSON on stdout.

use indicatif::{ProgressBar, ProgressStyle};
use skein_app_server::policy::SPINNER;

use super::out::one_line;
use super::outputs::ProgressLine;
use super::print_json;

/// The most lines of JSON for one step.
const LINES: u64 = 100;

pub(super) struct ProgressDisplay {
    bar: ProgressBar,
    json: bool,
    last: Option<(Option<&'static str>, Option<u64>)>,
}

impl ProgressDisplay {
    /// Progress of work on `things`, in one unnamed step.
    pub(super) fn of(things: &str, json: bool) -> Self {
        Self::as_a_bar(&format!("{{wide_bar}} {{human_pos}} of {{human_len}} {things}, {{eta}} to go"), json)
    }

    /// Progress of work on `things` in several steps.
    pub(super) fn in_steps(things: &str, json: bool) -> Self {
        Self::as_a_bar(
            &format!("{{wide_bar}} {{human_pos}} of {{human_len}} {things} {{msg}}, {{eta}} to go"),
            json,
        )
    }

    fn as_a_bar(template: &str, json: bool) -> Self {
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::no_length() };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, json, last: None }
    }

    /// Reports finished things.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        self.show(None, done, total);
    }

    /// Reports finished things of this step.
    pub(super) fn at_step(&mut self, step: &'static str, done: u64, total: u64) {
        self.bar.set_message(step);
        self.show(Some(step), done, total);
    }

    fn show(&mut self, step: Option<&'static str>, done: u64, total: u64) {
        let now = (step, (done * LINES).checked_div(total));
        if self.json && self.last != Some(now) {
            // A closed reader does not stop the work.
            print_json(&ProgressLine { step, done, total }).ok();
        }
        self.last = Some(now);
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Ends the display.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// A line on the terminal for work that takes longer than a moment. Dropping it removes the line.
pub(super) struct Waiting(ProgressBar);

impl Waiting {
    /// Shows `what` with the time since the call, on a terminal.
    pub(super) fn of(what: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(one_line(what).into_owned());
        bar.enable_steady_tick(SPINNER);
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
