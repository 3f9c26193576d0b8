//! Commands as users guess them. A word with a clear meaning does it; another is answered with the command that does.

use std::ffi::OsString;

use clap::{Command, CommandFactory};
use strsim::jaro_winkler;

/// The least likeness of a name that is meant, from 0 to 1.
const LIKE: f64 = 0.85;

/// Words of other programs, and the words of the command with the same meaning.
const MEANINGS: [(&[&str], &[&str]); 13] = [
    (&["ls"], &["threads", "list"]),
    (&["list"], &["threads", "list"]),
    (&["history"], &["threads", "list"]),
    (&["search"], &["threads", "search"]),
    (&["show"], &["threads", "show"]),
    (&["tail"], &["threads", "tail"]),
    (&["version"], &["--version"]),
    (&["-v"], &["--version"]),
    (&["ps"], &["status"]),
    (&["htop"], &["top"]),
    (&["mcp", "ls"], &["mcp", "list"]),
    (&["mcp", "rm"], &["mcp", "remove"]),
    (&["threads", "ls"], &["threads", "list"]),
];

/// Words of other programs that have no single meaning here, and an answer for each.
const ANSWERS: [(&str, &str); 31] = [
    (
        "start",
        "skein open serves the home in the background and opens the page; skein serve serves it in this terminal",
    ),
    (
        "up",
        "skein open serves the home in the background and opens the page; skein serve serves it in this terminal",
    ),
    ("daemon", "skein open serves the home in the background; skein serve serves it in this terminal"),
    ("server", "skein serve serves the home in this terminal"),
    ("restart", "end the server with skein stop, then start one with skein open"),
    ("down", "skein stop ends the server of the home"),
    ("kill", "skein stop ends the server of the home"),
    ("quit", "skein stop ends the server of the home"),
    (
        "logs",
        "a server that skein open has started writes server.log in the home; skein alone prints the home",
    ),
    (
        "log",
        "a server that skein open has started writes server.log in the home; skein alone prints the home",
    ),
    (
        "login",
        "Skein has no accounts: put the key of the provider in the environment (docs/models.md), then skein doctor",
    ),
    (
        "logout",
        "Skein has no accounts: skein token and skein sessions revoke the access of programs and pages",
    ),
    ("auth", "Skein has no accounts: skein token creates access for a program, skein url for a page"),
    ("exec", "skein run PROMPT asks one thing"),
    ("ask", "skein run PROMPT asks one thing"),
    ("prompt", "skein run PROMPT asks one thing"),
    ("resume", "skein chat THREAD goes on with a thread, skein chat --last with the newest"),
    ("new", "skein chat begins a thread"),
    ("settings", "skein config show prints the settings, skein config init writes a file of them"),
    ("models", "skein call model/list prints the models (docs/models.md)"),
    ("tools", "skein mcp list prints the MCP servers, skein mcp test NAME the tools of one"),
    ("ui", "skein open opens the page"),
    ("web", "skein open opens the page"),
    (
        "install",
        "skein service install lets systemd serve a home; skein editor prints what to paste into an editor",
    ),
    ("update", "Skein does not update itself: put a newer program in its place"),
    ("init", "the first start makes the home: skein open"),
    ("ide", "skein editor lists the editors, and prints what to paste into one"),
    ("systemd", "skein service install lets systemd serve a home"),
    ("bug", "skein bugreport FILE writes what a maintainer asks for, without secrets"),
    ("report", "skein bugreport FILE writes what a maintainer asks for, without secrets"),
    ("check", "skein doctor checks this machine and the settings, skein fsck the home"),
];

/// The arguments with a command of this program in the place of a known word of others.
pub(super) fn translated(arguments: Vec<OsString>) -> Vec<OsString> {
    let said: Vec<&str> = arguments.iter().skip(1).map_while(|word| word.to_str()).collect();
    let Some((given, meant)) = MEANINGS.iter().find(|(given, _)| said.starts_with(given)) else {
        return arguments;
    };
    let program = arguments.iter().take(1).cloned();
    let rest = arguments.iter().skip(1 + given.len()).cloned();
    program.chain(meant.iter().map(OsString::from)).chain(rest).collect()
}

/// The name that is most like this word, if one is like it. Capital letters make no difference.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let scored = names.map(|name| (name, jaro_winkler(&name.to_lowercase(), &word)));
    let best = scored.max_by(|one, other| one.1.total_cmp(&other.1))?;
    (best.1 > LIKE).then_some(best.0)
}

/// The answer to arguments with a word in the place of a command.
pub(super) fn unknown(arguments: &[OsString], word: &str) -> String {
    let table = super::Cli::command();
    let group = group(&table, arguments, word);
    let within = group.map(|group| format!("{} ", group.get_name())).unwrap_or_default();
    if group.is_some_and(|group| group.find_subcommand(word).is_some()) {
        return format!("the options of a command follow it: skein {within}{word} --home DIR");
    }
    let names = group.unwrap_or(&table).get_subcommands().map(Command::get_name);
    let near = || nearest(word, names).map(|near| format!("did you mean skein {within}{near}?"));
    let known = if group.is_none() { answer(word).map(str::to_owned) } else { None };
    let says = known.or_else(near).unwrap_or_else(|| format!("skein {within}--help lists the commands"));
    format!("there is no command {within}{word}: {says}")
}

/// The command whose sub-command the word was to be.
fn group<'a>(table: &'a Command, arguments: &[OsString], word: &str) -> Option<&'a Command> {
    let before =
        arguments.iter().skip(1).map_while(|given| given.to_str()).take_while(|given| *given != word);
    let mut groups = before.filter_map(|given| table.find_subcommand(given));
    groups.find(|group| group.has_subcommands())
}

/// The answer to a word that is no command.
fn answer(word: &str) -> Option<&'static str> {
    ANSWERS.iter().find(|(known, _)| *known == word).map(|(_, answer)| *answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate(line: &str) -> String {
        let words = translated(line.split_whitespace().map(OsString::from).collect());
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_of_others_become_commands_and_keep_what_follows() {
        assert_eq!(translate("skein ls --json"), "skein threads list --json");
        assert_eq!(translate("skein mcp ls --home x"), "skein mcp list --home x");
        assert_eq!(translate("skein -v"), "skein --version");
        for own in ["skein", "skein serve", "skein mcp add ls", "skein run ls", "skein call list"] {
            assert_eq!(translate(own), own);
        }
    }

    #[test]
    fn a_mistyped_command_is_answered_with_the_nearest_one() {
        let said = |line: &str, word: &str| {
            let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            unknown(&arguments, word)
        };
        for (line, word, expected) in [
            ("skein serv", "serv", "there is no command serv: did you mean skein serve?"),
            ("skein Serve", "Serve", "there is no command Serve: did you mean skein serve?"),
            ("skein thread list", "thread", "there is no command thread: did you mean skein threads?"),
            (
                "skein threads --home x list",
                "list",
                "the options of a command follow it: skein threads list --home DIR",
            ),
            ("skein threads lst", "lst", "there is no command threads lst: did you mean skein threads list?"),
            ("skein mcp ad files", "ad", "there is no command mcp ad: did you mean skein mcp add?"),
            (
                "skein mcp start",
                "start",
                "there is no command mcp start: skein mcp --help lists the commands",
            ),
            ("skein xyzzy", "xyzzy", "there is no command xyzzy: skein --help lists the commands"),
        ] {
            assert_eq!(said(line, word), expected);
        }
    }

    #[test]
    fn an_answer_is_about_a_word_that_is_no_command() {
        let table = super::super::Cli::command();
        for (word, answer) in ANSWERS {
            assert!(table.find_subcommand(word).is_none(), "{word}");
            assert!(answer.contains("skein") || answer.contains("Skein"), "{answer}");
        }
        for (given, meant) in MEANINGS {
            let is_known = meant[0].starts_with('-') || table.find_subcommand(meant[0]).is_some();
            assert!(is_known && table.find_subcommand(given.join(" ")).is_none(), "{given:?}");
        }
    }
}
