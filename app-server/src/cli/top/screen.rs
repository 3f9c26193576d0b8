//! The screen of `skein top`: what it shows, and what its keys do. Knows no terminal and no server.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState};
use skein_protocol::extension::{HelperDetail, LoadedState};
use skein_protocol::ids::ThreadId;

use super::super::helpers;
use super::super::out::one_line;
use super::super::status::counted;
use super::super::threads::list;
use super::figures::{Figures, ThreadFigures};

#[cfg(test)]
mod tests;

/// The lines about the helpers of the chosen thread.
const HELPER_LINES: u16 = 8;
/// A screen of so many columns has room for whole ids.
const WIDE: u16 = 100;
const WHOLE_ID: u16 = 36;
/// Enough of an id to tell threads apart that began in different seconds.
const SHORT_ID: u16 = 13;
const KEYS: &str = "q quit   k unload   K unload by force   / filter   up, down choose";

/// The state of the screen.
pub(super) struct Screen {
    figures: Figures,
    chosen: Option<ThreadId>,
    filter: String,
    mode: KeyMode,
    /// The outcome of the last key.
    message: String,
}

/// The meaning of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyMode {
    Commands,
    /// They are letters of the filter.
    Filter,
    /// They answer whether this active thread is unloaded.
    Confirm(ThreadId),
}

/// The effect of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyEffect {
    Stay,
    Quit,
    Unload { thread: ThreadId, force: bool },
}

impl Screen {
    pub(super) fn of(figures: Figures) -> Self {
        let mut screen = Self {
            figures,
            chosen: None,
            filter: String::new(),
            mode: KeyMode::Commands,
            message: String::new(),
        };
        screen.keep_choice();
        screen
    }

    /// Takes new figures. The chosen thread stays chosen while it is shown.
    pub(super) fn take(&mut self, figures: Figures) {
        self.figures = figures;
        self.keep_choice();
    }

    /// Shows the outcome of an action.
    pub(super) fn say(&mut self, outcome: String) {
        self.message = outcome;
    }

    pub(super) fn press(&mut self, key: KeyCode, modifiers: KeyModifiers) -> KeyEffect {
        if modifiers.contains(KeyModifiers::CONTROL) && key == KeyCode::Char('c') {
            return KeyEffect::Quit;
        }
        match self.mode {
            KeyMode::Commands => self.command(key),
            KeyMode::Filter => self.letter(key),
            KeyMode::Confirm(thread) => self.confirm(key, thread),
        }
    }

    fn command(&mut self, key: KeyCode) -> KeyEffect {
        self.message.clear();
        match (key, self.chosen) {
            (KeyCode::Char('q') | KeyCode::Esc, _) => return KeyEffect::Quit,
            (KeyCode::Up, _) => self.step(-1),
            (KeyCode::Down, _) => self.step(1),
            (KeyCode::Char('/'), _) => self.mode = KeyMode::Filter,
            (KeyCode::Char('k'), Some(thread)) => return KeyEffect::Unload { thread, force: false },
            (KeyCode::Char('K'), Some(thread)) => self.mode = KeyMode::Confirm(thread),
            _ => {}
        }
        KeyEffect::Stay
    }

    fn letter(&mut self, key: KeyCode) -> KeyEffect {
        if let KeyCode::Char(letter) = key {
            self.filter.push(letter);
        } else if key == KeyCode::Backspace {
            self.filter.pop();
        } else if key == KeyCode::Enter {
            self.mode = KeyMode::Commands;
        } else if key == KeyCode::Esc {
            self.filter.clear();
            self.mode = KeyMode::Commands;
        }
        self.keep_choice();
        KeyEffect::Stay
    }

    fn confirm(&mut self, key: KeyCode, thread: ThreadId) -> KeyEffect {
        self.mode = KeyMode::Commands;
        if key == KeyCode::Char('y') { KeyEffect::Unload { thread, force: true } } else { KeyEffect::Stay }
    }

    /// The threads that the filter lets through.
    fn shown(&self) -> Vec<&ThreadFigures> {
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &&ThreadFigures| {
            let id = row.thread.thread_id.to_string();
            row.name.to_lowercase().contains(&wanted)
                || id.contains(&wanted)
                || row.helpers.iter().any(|helper| helper.name.to_lowercase().contains(&wanted))
        };
        self.figures.threads.iter().filter(is_wanted).collect()
    }

    fn place(&self) -> Option<usize> {
        self.shown().iter().position(|row| Some(row.thread.thread_id) == self.chosen)
    }

    fn keep_choice(&mut self) {
        if self.place().is_none() {
            self.chosen = self.shown().first().map(|row| row.thread.thread_id);
        }
    }

    fn step(&mut self, by: isize) {
        let shown = self.shown();
        let to =
            self.place().unwrap_or_default().saturating_add_signed(by).min(shown.len().saturating_sub(1));
        self.chosen = shown.get(to).map(|row| row.thread.thread_id);
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let below = HELPER_LINES.min(frame.area().height / 3);
        let parts =
            [Constraint::Length(2), Constraint::Min(1), Constraint::Length(below), Constraint::Length(1)];
        let [head, table, helpers, foot] = Layout::vertical(parts).areas(frame.area());
        frame.render_widget(Paragraph::new(self.head()), head);
        self.draw_threads(frame, table);
        frame.render_widget(Paragraph::new(self.helper_lines()), helpers);
        frame.render_widget(Paragraph::new(self.foot()), foot);
    }

    fn head(&self) -> Vec<Line<'static>> {
        let Figures { server, connections, questions, .. } = &self.figures;
        let (own, helpers) = (memory(self.figures.memory), memory(self.figures.helper_memory()));
        let (connections, questions) = (counted(*connections, "connection"), counted(*questions, "question"));
        let figures = format!("{own} of memory, helpers {helpers}; {connections}, {questions} for the user");
        vec![Line::from(one_line(server).into_owned()), Line::from(figures)]
    }

    fn draw_threads(&self, frame: &mut Frame<'_>, area: Rect) {
        let id = if area.width < WIDE { SHORT_ID } else { WHOLE_ID };
        let rows: Vec<Row<'_>> = self.shown().into_iter().map(|thread| row(thread, id)).collect();
        let head = Row::new(["THREAD", "STATE", "CLIENTS", "PROCESSES", "MEMORY", "NAME"])
            .style(Style::new().add_modifier(Modifier::BOLD));
        let widths = [id, 9, 7, 9, 10].map(Constraint::Length).into_iter().chain([Constraint::Min(10)]);
        let table = Table::new(rows, widths)
            .header(head)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut state = TableState::new().with_selected(self.place());
        frame.render_stateful_widget(table, area, &mut state);
    }

    fn helper_lines(&self) -> Vec<Line<'static>> {
        let chosen = self.place().and_then(|at| self.shown().get(at).map(|row| row.helpers.as_slice()));
        let (title, helpers): (&str, &[HelperDetail]) = match chosen {
            Some([]) => ("The chosen thread has no helpers.", &[]),
            Some(helpers) => ("Helpers of the chosen thread:", helpers),
            None if self.figures.unused.is_empty() => ("No thread is loaded.", &[]),
            None => ("No thread is loaded. Helpers that are kept:", &self.figures.unused),
        };
        let title = Line::from(title).style(Style::new().add_modifier(Modifier::BOLD));
        let each = helpers.iter().flat_map(helpers::lines);
        let lines = each.map(|line| Line::from(one_line(&line).into_owned()));
        [title].into_iter().chain(lines).collect()
    }

    fn foot(&self) -> Line<'static> {
        let text = match self.mode {
            KeyMode::Filter => format!("filter: {}_   Enter keeps it, Esc clears it", self.filter),
            KeyMode::Confirm(thread) => {
                format!("{thread} may be at work; unload it and interrupt its turn? y or n")
            }
            KeyMode::Commands if !self.message.is_empty() => self.message.clone(),
            KeyMode::Commands if !self.filter.is_empty() => format!("{KEYS}   filter: {}", self.filter),
            KeyMode::Commands => KEYS.to_owned(),
        };
        Line::from(one_line(&text).into_owned())
    }
}

/// The line of a thread, with so many characters of its id.
fn row(row: &ThreadFigures, id: u16) -> Row<'static> {
    let ThreadFigures { name, thread, helpers } = row;
    let processes: usize = helpers.iter().map(|helper| helper.processes.len()).sum();
    let waits = list::state(&thread.status).trim();
    let state = if waits.is_empty() { word(thread.state) } else { waits.trim_matches(['[', ']']) };
    Row::new([
        thread.thread_id.to_string().chars().take(usize::from(id)).collect(),
        state.to_owned(),
        thread.subscribers.to_string(),
        processes.to_string(),
        memory(row.memory()),
        one_line(name).into_owned(),
    ])
}

fn word(state: LoadedState) -> &'static str {
    match state {
        LoadedState::Loading => "loading",
        LoadedState::Idle => "idle",
        LoadedState::Running => "running",
        LoadedState::Unloading => "unloading",
    }
}

fn memory(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}
