//! Results of the zoo, as tables.

use super::{Ending, LEVELS, MODES, Outcome};

/// Head of the page with the tables.
pub const HEAD: &str = "# The zoo\n\nWritten by `scripts/zoo --write docs/helpers-zoo.md`: after each ending, when the last process of each \
    helper was seen; with a debug build\non two shared cores. 0 ms: none was seen any more. After `kill-both` the time goes from the \
    next start of a server, except in a\nnamespace, where it needs none. After `kill-guards` what the server starts again in its place \
    is not counted. `panic` is\nthe death of the server by a panic that cannot be unwound, `owner-panic` that of the task that owns the \
    thread.\n\nWhat is left is looked for in `/proc`, many times in a row, and by a pipe that every process of a helper but the \
    daemon holds\nopen: it knows also of forks that live for a millisecond. Modes that end, or that the server ends for what they \
    do, were\nstarted again at least once before the ending came.\n";

/// A Markdown table for each isolation level: a row for each mode, a column for each ending.
pub fn table(outcomes: &[Outcome]) -> String {
    LEVELS.into_iter().map(|level| of_level(level, outcomes)).collect()
}

fn of_level(level: &str, outcomes: &[Outcome]) -> String {
    let of: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.level == level).collect();
    let endings = Ending::ALL.into_iter().filter(|(_, ending)| of.iter().any(|one| one.ending == *ending));
    let endings: Vec<(&str, Ending)> = endings.collect();
    if endings.is_empty() {
        return String::new();
    }
    let heads: String = endings.iter().map(|(name, _)| format!(" {name} |")).collect();
    let lines: String = endings.iter().map(|_| " ---: |").collect();
    let mut table = format!("\n`helpers.containment = {level:?}`\n\n| mode |{heads}\n| --- |{lines}\n");
    for (mode, _) in MODES {
        let cell = |ending| of.iter().find(|outcome| outcome.mode == mode && outcome.ending == ending);
        if endings.iter().all(|(_, ending)| cell(*ending).is_none()) {
            continue;
        }
        let cells = endings.iter().map(|(_, ending)| match cell(*ending) {
            Some(outcome) if outcome.left > 0 => format!(" **{} left** |", outcome.left),
            Some(outcome) => format!(" {} ms |", outcome.stopped_after.as_millis()),
            None => " |".to_owned(),
        });
        table += &format!("| {mode} |{}\n", cells.collect::<String>());
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn leftover_processes_are_bold() {
        let outcome = |mode, left| Outcome {
            mode,
            level: "guard",
            ending: Ending::Unload,
            left,
            stopped_after: Duration::from_millis(7),
        };
        let table = table(&[outcome("daemon", 2), outcome("polite", 0)]);
        let rows: Vec<&str> = table.lines().skip(3).collect();
        assert_eq!(
            rows,
            ["| mode | unload |", "| --- | ---: |", "| polite | 7 ms |", "| daemon | **2 left** |"][..]
        );
    }
}
