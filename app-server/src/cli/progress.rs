//! The progress of a command that takes longer than a moment: one line on stderr if it is a terminal, removed at the end.
//! With `--json` nothing is on stderr; a command may print its progress as lines of JSON on stdout.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use rustix::termios::tcgetwinsize;
use skein_app_server::policy::{PROGRESS_AFTER, SPINNER};
use skein_app_server::telemetry;
use skein_base::tasks;

use super::conversation::view::cut;
use super::out::one_line;
use super::outputs::ProgressLine;
use super::print_json;

/// The most lines of JSON for one step.
const LINES: u64 = 100;

/// The line of a wait.
const WAITING: &str = "{spinner} {elapsed} {msg}";

/// The width of a terminal that does not say its own.
const COLUMNS: u16 = 80;

/// Columns of a wait's line around its text: the spinner, the time, and the `^C` of a terminal. If that began another line,
/// this one would stay.
const AROUND: usize = 12;

/// The most drawings in a second.
const RATE: u8 = 20;

/// The width of the terminal.
fn columns() -> u16 {
    tcgetwinsize(io::stderr()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// Stderr as a terminal. The cursor stays at the end of the text: indicatif's own fills the line with spaces, and the `^C` that a
/// terminal echoes would begin another line, which is removed in the place of this one.
#[derive(Debug, Default)]
struct StderrLine {
    /// Not written so far.
    drawn: Mutex<String>,
}

impl StderrLine {
    fn draw(&self, text: &str) -> io::Result<()> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        Ok(())
    }

    fn go(&self, steps: usize, way: char) -> io::Result<()> {
        if steps > 0 { self.draw(&format!("\u{1b}[{steps}{way}")) } else { Ok(()) }
    }
}

impl TermLike for StderrLine {
    fn width(&self) -> u16 {
        columns()
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.go(lines, 'A')
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.go(lines, 'B')
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.go(columns, 'C')
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.go(columns, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.draw(text)?;
        self.draw("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let is_filler = text.bytes().all(|byte| byte == b' ');
        if is_filler { Ok(()) } else { self.draw(text) }
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        telemetry::write(&std::mem::take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner)));
        Ok(())
    }
}

/// A line on stderr that appears once the work has taken a moment. Dropping it removes the line.
struct LateLine {
    bar: ProgressBar,
    is_over: Arc<Mutex<bool>>,
    /// Wakes the thread that waits to show the line.
    end: Option<SyncSender<()>>,
}

impl LateLine {
    /// A line of this form on stderr, on a terminal only.
    fn on_stderr(template: &str, is_hidden: bool) -> Self {
        let target = ProgressDrawTarget::stderr();
        let target = if is_hidden || target.is_hidden() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::term_like_with_hz(Box::new(StderrLine::default()), RATE)
        };
        Self::after(PROGRESS_AFTER, template, target)
    }

    fn after(moment: Duration, template: &str, target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let is_over = Arc::new(Mutex::new(false));
        let end = (!target.is_hidden()).then(|| {
            let (end, ended) = sync_channel(0);
            let (late, over) = (bar.clone(), Arc::clone(&is_over));
            let show = move || {
                if ended.recv_timeout(moment) == Err(RecvTimeoutError::Timeout) {
                    let is_over = over.lock().unwrap_or_else(PoisonError::into_inner);
                    if !*is_over {
                        late.set_draw_target(target);
                        late.enable_steady_tick(SPINNER);
                        late.tick();
                    }
                }
            };
            // Without a thread the work goes on without a line.
            tasks::thread("skein-progress", show).ok();
            end
        });
        Self { bar, is_over, end }
    }
}

impl Drop for LateLine {
    fn drop(&mut self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        drop(self.end.take());
        self.bar.finish_and_clear();
    }
}

/// The progress of work on a number of things: a bar, or lines of JSON on stdout.
pub(super) struct ProgressDisplay {
    line: LateLine,
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

    /// Progress of work on `things` that are counted in bytes.
    pub(super) fn in_bytes(things: &str, json: bool) -> Self {
        Self::as_a_bar(&format!("{{wide_bar}} {{bytes}} of {{total_bytes}} of {things}, {{eta}} to go"), json)
    }

    fn as_a_bar(template: &str, json: bool) -> Self {
        Self { line: LateLine::on_stderr(template, json), json, last: None }
    }

    /// Reports finished things.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        self.show(None, done, total);
    }

    /// Reports finished things of this step.
    pub(super) fn at_step(&mut self, step: &'static str, done: u64, total: u64) {
        self.line.bar.set_message(step);
        self.show(Some(step), done, total);
    }

    fn show(&mut self, step: Option<&'static str>, done: u64, total: u64) {
        let now = (step, (done * LINES).checked_div(total));
        if self.json && self.last != Some(now) {
            // A closed reader does not stop the work.
            print_json(&ProgressLine { step, done, total }).ok();
        }
        self.last = Some(now);
        self.bar_at(done, total);
    }

    /// Moves the bar, and prints no JSON.
    pub(super) fn bar_at(&self, done: u64, total: u64) {
        self.line.bar.set_length(total);
        self.line.bar.set_position(done);
    }

    /// Prints something else, above the bar.
    pub(super) fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        self.line.bar.suspend(print)
    }
}

/// The name of what a command waits for, and the time so far. Dropping it removes the line.
pub(super) struct Waiting(LateLine);

impl Waiting {
    /// Shows `what`, unless it is hidden, as with `--json`.
    pub(super) fn of(what: &str, is_hidden: bool) -> Self {
        let waiting = Self(LateLine::on_stderr(WAITING, is_hidden));
        waiting.now(what);
        waiting
    }

    /// Shows something else from here on.
    pub(super) fn now(&self, what: &str) {
        let width = usize::from(columns()).saturating_sub(AROUND);
        self.0.bar.set_message(cut(&one_line(what), width));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A terminal that keeps what it is told.
    #[derive(Debug)]
    struct Screen(Sender<String>);

    impl Screen {
        fn target() -> (ProgressDrawTarget, Receiver<String>) {
            let (told, tells) = channel();
            (ProgressDrawTarget::term_like(Box::new(Self(told))), tells)
        }

        fn take(&self, what: &str) -> io::Result<()> {
            self.0.send(what.to_owned()).map_err(io::Error::other)
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            40
        }
        fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
            if lines == 0 { Ok(()) } else { self.take(&format!("<up {lines}>")) }
        }
        fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
            self.take(&format!("<down {lines}>"))
        }
        fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
            self.take(&format!("<right {columns}>"))
        }
        fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
            self.take(&format!("<left {columns}>"))
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.take(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.take(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.take("<clear>")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn shown(waiting: &Waiting, screen: &Receiver<String>, text: &str) -> String {
        let mut all = String::new();
        while !all.contains(text) {
            all += &screen.recv().unwrap();
        }
        assert!(!waiting.0.bar.is_finished());
        all
    }

    fn late(moment: Duration, target: ProgressDrawTarget) -> Waiting {
        Waiting(LateLine::after(moment, WAITING, target))
    }

    #[test]
    fn a_wait_shows_one_line_after_its_moment_and_removes_it_at_the_end() {
        let (target, screen) = Screen::target();
        let waiting = late(Duration::ZERO, target);
        waiting.now(&format!("the server\nstarts\u{1b}[31m {}", "and starts ".repeat(20)));
        let line = shown(&waiting, &screen, "the server");
        assert!(!line.contains(['\n', '\u{1b}']), "{line:?}");
        waiting.now("it answers");
        shown(&waiting, &screen, "it answers");
        drop(waiting);
        let rest: String = screen.iter().collect();
        let after = rest.rsplit("<clear>").next().unwrap();
        assert!(rest.contains("<clear>") && after.is_empty(), "{rest:?}");
    }

    #[test]
    fn a_wait_that_ends_before_its_moment_shows_nothing() {
        let (target, screen) = Screen::target();
        let waiting = late(HOUR, target);
        waiting.now("the server starts");
        drop(waiting);
        assert_eq!(screen.iter().collect::<String>(), "");
    }

    #[test]
    fn a_hidden_wait_has_no_thread_to_show_it() {
        assert!(late(Duration::ZERO, ProgressDrawTarget::hidden()).0.end.is_none());
    }
}
