//! The help of the program: its commands in groups, and two examples.

/// The widest line of a help.
pub(super) const COLUMNS: usize = 80;

/// The template of the help of `skein` itself.
pub(super) const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

Talk:
  open        Open the page; serve the home in the background if nobody does
  chat        Talk in the terminal
  run         Ask one thing and print the answer
  questions   List, show and answer what threads ask their users
  threads     List, search, show, rename, archive and delete threads

Serve:
  serve       Serve a home in this terminal
  stop        End the server of a home
  status      Show the running server and its threads
  top         Watch threads, helpers and memory; unload threads
  service     Serve a home by systemd, as a service of your user
  helpers     Show the MCP servers that run, and their processes
  app-server  Speak the protocol on standard input and output
  codex-shim  Make a link named codex for programs that start a codex
  editor      Print what to paste into an editor

Set up:
  doctor      Check this machine, the home and its settings
  config      Write, check and show the settings
  bugreport   Write a file for an issue, without secrets
  mcp         Add, show, test and remove MCP servers
  url         Print an address that lets a browser in
  pair        Let the browser of a phone in, by a code for its camera
  origins     Allow the pages of other origins
  token       Create, show and revoke the tokens of programs
  sessions    Show and revoke the sessions of pages

Keep:
  backup      Write a home into one file
  restore     Restore a backup
  import      Import the threads of Codex
  migrate     Move all threads into a database, or back
  export      Write one thread as JSON lines or Markdown
  fsck        Check and repair a home
  reindex     Rebuild the list of threads
  cluster     Set up and look after a PostgreSQL database for threads

Build on it:
  call         Call a method of the running server
  completions  Print completions for a shell
  man          Write the manual pages

{options}

Examples:
  skein open                          the page in the browser
  git diff | skein run \"review this:\" -   one answer in the terminal

skein COMMAND --help has the arguments of a command. Without a command, skein
prints the state of the home and the next step.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    #[test]
    fn the_help_names_each_command_once_and_fits_in_a_terminal() {
        let mut table = Cli::command();
        table.build();
        let listed: Vec<&str> = TEMPLATE
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split("  ").next())
            .filter(|word| !word.starts_with(' ') && !word.contains(' '))
            .collect();
        let mut commands: Vec<&str> = table
            .get_subcommands()
            .filter(|command| command.get_name() != "help" && !command.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        commands.sort_unstable();
        assert_eq!(sorted, commands);
    }

    fn too_wide(command: &mut clap::Command, found: &mut Vec<String>) {
        let help = command.render_long_help().to_string();
        let wide = help.lines().filter(|line| line.chars().count() > COLUMNS);
        found.extend(wide.map(|line| format!("{}: {line}", command.get_name())));
        command.get_subcommands_mut().for_each(|command| too_wide(command, found));
    }

    #[test]
    fn no_help_is_wider_than_a_terminal() {
        let mut table = Cli::command();
        table.build();
        let mut found = Vec::new();
        too_wide(&mut table, &mut found);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
