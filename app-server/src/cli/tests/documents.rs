//! The documents against the command table: docs/commands.md has every command, and no document names one that is not there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};

use super::super::Cli;

const DOCUMENT: &str = "docs/commands.md";

/// Everything behind this heading of the document is generated.
const HEAD: &str = "## Every command

`scripts/generate` makes this part from the command table of the program.
";

/// Under cargo the folder above this crate; under Bazel the folder that the test starts in.
pub(super) fn root() -> PathBuf {
    let here = Path::new(".");
    if here.join("app-server/Cargo.toml").exists() {
        return here.to_owned();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn table() -> Command {
    let mut table = Cli::command();
    table.build();
    table
}

/// One line for a cell of a table.
fn cell(text: Option<&StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if line.is_empty() || line.ends_with(['.', ']']) { line } else { line + "." }
}

/// The form of an argument, as a user types it.
fn form(arg: &Arg) -> String {
    let names = arg.get_value_names().filter(|_| arg.get_action().takes_values()).unwrap_or_default();
    let values: String = names.iter().map(|name| format!(" {name}")).collect();
    match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("-{short}, --{long}{values}"),
        (Some(long), None) => format!("--{long}{values}"),
        (None, Some(short)) => format!("-{short}{values}"),
        (None, None) => values.trim().to_owned(),
    }
}

fn write_command(text: &mut String, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n    ");
    let name = command.get_bin_name().unwrap_or_default();
    let about = cell(command.get_long_about().or(command.get_about()));
    writeln!(text, "\n### {name}\n\n{about}\n\n    {usage}").unwrap();
    let is_shown = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let args: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    if !args.is_empty() {
        text.push_str("\n| argument | meaning |\n| --- | --- |\n");
    }
    for arg in args {
        let mut meaning = cell(arg.get_long_help().or(arg.get_help()));
        let possible = arg.get_possible_values();
        let words: Vec<String> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
        if arg.get_action().takes_values() && !words.is_empty() {
            meaning += &format!(" One of {}.", words.join(", "));
        }
        let defaults = arg.get_default_values().iter().filter(|_| arg.get_action().takes_values());
        for default in defaults {
            meaning += &format!(" Default: `{}`.", default.to_string_lossy());
        }
        writeln!(text, "| `{}` | {meaning} |", form(arg)).unwrap();
    }
    let is_own = |command: &&Command| command.get_name() != "help" && !command.is_hide_set();
    command.get_subcommands().filter(is_own).for_each(|command| write_command(text, command));
}

fn reference() -> String {
    let mut text = HEAD.to_owned();
    let table = table();
    let commands = table.get_subcommands().filter(|command| command.get_name() != "help");
    commands.for_each(|command| write_command(&mut text, command));
    text
}

/// With `SKEIN_GENERATE` it writes the generated part, as `scripts/generate` does.
#[test]
fn the_document_of_commands_is_as_generated() {
    let (path, reference) = (root().join(DOCUMENT), reference());
    let found = std::fs::read_to_string(&path).unwrap();
    let own = found.split(HEAD.lines().next().unwrap()).next().unwrap();
    let expected = format!("{}\n\n{reference}", own.trim_end());
    if std::env::var_os("SKEIN_GENERATE").is_some() {
        std::fs::write(path, expected).unwrap();
        return;
    }
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "{DOCUMENT} is out of date: run scripts/generate; {differs:?}");
}

/// The documents, without those that tell of earlier versions.
fn documents() -> Vec<(PathBuf, String)> {
    let mut folders =
        vec![root(), root().join("docs"), root().join("docs/decisions"), root().join("app-server")];
    folders.extend(
        ["base", "helpers", "provider", "store"].map(|name| root().join("app-server/crates").join(name)),
    );
    let paths = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path());
    let is_current =
        |path: &PathBuf| path.extension().is_some_and(|kind| kind == "md") && !path.ends_with("CHANGELOG.md");
    paths.filter(is_current).map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The pieces of a line that are code: all of a line of a block, else the text between backticks.
fn codes(line: &str, is_block: bool) -> Vec<&str> {
    if is_block { vec![line] } else { line.split('`').skip(1).step_by(2).collect() }
}

/// The reason why a call of the program in `code` cannot work, if there is one.
fn wrong(table: &Command, code: &str) -> Option<String> {
    let code = code.split(['#', '|', ';']).next().unwrap_or_default();
    let mut words = code.split_whitespace().skip_while(|word| *word != "skein").skip(1).peekable();
    let mut command = table;
    while let Some(found) = words.peek().and_then(|word| command.find_subcommand(word)) {
        command = found;
        words.next();
    }
    let is_placeholder = |word: &str| word.chars().all(|c| c.is_uppercase() || "…._[]<>".contains(c));
    let first = words.peek().copied().unwrap_or_default();
    let wants_command = command.get_positionals().next().is_none() && command.has_subcommands();
    if wants_command && !first.starts_with('-') && !first.starts_with("[-") && !is_placeholder(first) {
        return Some(format!("no command {first}"));
    }
    let flags = words.map(|word| word.trim_start_matches('[')).take_while(|word| *word != "--");
    let unknown =
        flags.filter(|word| word.starts_with('-') && word.len() > 1).find(|word| !takes(command, word));
    unknown.map(|flag| format!("{} has no {flag}", command.get_bin_name().unwrap_or("skein")))
}

/// Whether a command has the flag.
fn takes(command: &Command, word: &str) -> bool {
    let flag = word.split('=').next().unwrap_or_default().trim_end_matches([',', '.', ']', ')']);
    match flag.strip_prefix("--") {
        Some(long) => command.get_arguments().any(|arg| arg.get_long() == Some(long)),
        None => command.get_arguments().any(|arg| arg.get_short() == flag.chars().nth(1)),
    }
}

#[test]
fn documents_name_only_commands_and_flags_that_exist() {
    let table = table();
    let mut found = Vec::new();
    for (path, text) in documents() {
        let mut fenced = false;
        for (at, line) in text.lines().enumerate() {
            fenced ^= line.starts_with("```");
            let calls = codes(line, fenced || line.starts_with("    ")).into_iter().filter(|code| {
                code.split_whitespace().take(2).any(|word| word == "skein")
                    && !code.contains("\": ")
                    // A variable of an example.
                    && !code.contains("skein = ")
            });
            let wrong = calls.filter_map(|code| wrong(&table, code));
            found.extend(wrong.map(|why| format!("{}:{}: {why}: {line}", path.display(), at + 1)));
        }
    }
    assert!(found.is_empty(), "a document names what the program does not have:\n{}", found.join("\n"));
}

#[test]
fn calls_in_documents_are_read_like_a_shell_does() {
    let table = table();
    for good in [
        "skein serve --home DIR",
        "$ skein mcp add NAME -- COMMAND --flag",
        "skein status | jq --raw-output",
        "skein --version",
        "skein COMMAND --help",
        "skein fsck [--repair] [--gc]",
        "skein serve -c unload.grace=2s",
        "skein call thread/start '{}'",
    ] {
        assert_eq!(wrong(&table, good), None, "{good}");
    }
    for bad in [
        "skein server",
        "skein mcp drop NAME",
        "skein fsck --mend",
        "$ skein backup FILE --gc",
        "skein serve -x",
    ] {
        assert!(wrong(&table, bad).is_some(), "{bad}");
    }
}
