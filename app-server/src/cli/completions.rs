//! `skein completions`: the words of the command line, for a shell.

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print_lines};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell [default: that of $SHELL].
    #[arg(value_enum)]
    shell: Option<Shell>,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let shell = self.shell.or_else(Shell::from_env);
        let shell =
            shell.context("$SHELL names no shell with completions; name one: skein completions bash")?;
        print_lines(script(shell)?.trim_end())
    }
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let mut table = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut table, "skein", &mut script);
    String::from_utf8(script).context("completions")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::super::out::lines;
    use super::*;

    #[test]
    fn each_shell_completes_every_command_and_loses_no_character_to_the_printer() {
        let table = Cli::command();
        for shell in Shell::value_variants() {
            let script = script(*shell).unwrap();
            assert_eq!(lines(&script), script, "{shell}");
            for command in table.get_subcommands().filter(|command| !command.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
