//! `skein man`: the manual pages of all commands.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

use super::outputs::ManualOutcome;
use super::{Cli, out, print_json, print_line};

#[derive(Debug, Args)]
pub(super) struct Manual {
    /// The folder, which is created if it is missing: /usr/local/share/man/man1 for all users.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print the outcome as JSON, on one line.
    #[arg(long)]
    json: bool,
}

impl Manual {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { folder, json } = self;
        let shown = folder.display();
        fs::create_dir_all(&folder).with_context(|| format!("{shown} cannot be created"))?;
        clap_mangen::generate_to(Cli::command(), &folder)
            .with_context(|| format!("{shown} cannot be written"))?;
        let pages = pages(&Cli::command());
        if json {
            return print_json(&ManualOutcome { folder: out::path(&folder), pages });
        }
        let first = out::quoted(&out::path(&folder.join("skein.1")));
        print_line(&format!("{pages} manual pages in {shown}; to read the first: man -l {first}"))
    }
}

/// The number of commands with a page: all that are not hidden.
fn pages(command: &clap::Command) -> usize {
    1 + command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(pages).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("man1");
        Manual { folder: to.clone(), json: true }.run().unwrap();
        let written: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(written.len(), pages(&Cli::command()), "{written:?}");
        for (file, title) in [("skein.1", "skein"), ("skein-threads-show.1", r"skein\-threads\-show")] {
            let text = fs::read_to_string(to.join(file)).unwrap();
            assert!(text.contains(&format!(".SH NAME\n{title} \\- ")), "{text}");
        }
        let names_file = Manual { folder: to.join("skein.1"), json: false }.run();
        assert!(format!("{:#}", names_file.unwrap_err()).contains("skein.1 cannot be created"));
    }
}
