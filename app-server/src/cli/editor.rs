//! `skein editor`: prints what to paste into an editor, and where, so that it uses this home. Writes nothing.
//!
//! docs/editors.md says how far each was tried.

mod setup;

use anyhow::Context;
use clap::{Args, ValueEnum};
use setup::EditorPaths;

use super::mcp::SettingsArgs;
use super::out::quoted;
use super::outputs::{EditorLine, EditorOutcome, Listing};
use super::{home, print_json, print_lines, state};

#[derive(Debug, Args)]
pub(super) struct EditorArgs {
    /// The editor; without it, all are listed.
    #[arg(value_enum, value_name = "EDITOR")]
    editor: Option<Editor>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The programs that this command knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Editor {
    Tui,
    Zed,
    #[value(name = "vscode")]
    VsCode,
    #[value(name = "jetbrains")]
    JetBrains,
    T3,
}

impl Editor {
    const ALL: [Self; 5] = [Self::Tui, Self::Zed, Self::VsCode, Self::JetBrains, Self::T3];

    fn word(self) -> &'static str {
        match self {
            Self::Tui => "tui",
            Self::Zed => "zed",
            Self::VsCode => "vscode",
            Self::JetBrains => "jetbrains",
            Self::T3 => "t3",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tui => "The Codex terminal client",
            Self::Zed => "Zed",
            Self::VsCode => "The Codex extension of VS Code",
            Self::JetBrains => "JetBrains AI Assistant",
            Self::T3 => "T3 Code",
        }
    }

    /// The way to Skein.
    fn way(self) -> &'static str {
        match self {
            Self::Tui => "connects to the server of the home",
            Self::Zed | Self::JetBrains => "starts codex-acp, which starts Skein by the name of codex",
            Self::VsCode | Self::T3 => "starts Skein by the name of codex",
        }
    }

    /// How far it was tried with Skein.
    fn tried(self) -> &'static str {
        match self {
            Self::Tui => "the client itself, over both addresses",
            Self::Zed => "the agent with these words and variables, but not Zed itself",
            Self::JetBrains => "the agent with these words and variables, but no IDE",
            Self::VsCode => "the command that VS Code starts, but not the extension itself",
            Self::T3 => "the command and the first calls of T3 Code, but not T3 Code itself",
        }
    }
}

impl EditorArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Some(editor) = self.editor else { return list(self.settings.json) };
        let root = std::path::absolute(home(self.settings.home.as_ref())?).context("the home's path")?;
        let address = state::ask(&root).await.ok().map(|status| status.address.clone());
        let outcome = EditorPaths::of(&root, address, |name| std::env::var_os(name))?.outcome(editor);
        if self.settings.json {
            print_json(&outcome)
        } else {
            print_lines(words(editor, &outcome).trim_end())
        }
    }
}

fn list(json: bool) -> anyhow::Result<()> {
    if json {
        let line =
            |editor: Editor| EditorLine { editor: editor.word(), name: editor.name(), tried: editor.tried() };
        return print_json(&Listing { data: Editor::ALL.map(line).into() });
    }
    let line = |editor: Editor| format!("{:<11}{} {}", editor.word(), editor.name(), editor.way());
    let lines = Editor::ALL.map(line).join("\n");
    print_lines(&format!("{lines}\n\nskein editor EDITOR prints what to paste, and where"))
}

/// The steps for a person.
fn words(editor: Editor, outcome: &EditorOutcome) -> String {
    let mut steps = Vec::new();
    if let Some(prepare) = &outcome.prepare {
        steps.push(("Run this once:".to_owned(), command(prepare)));
    }
    if let (Some(place), Some(paste)) = (&outcome.place, &outcome.paste) {
        steps.push((place.clone(), format!("{paste:#}")));
    }
    // Where something is pasted, the editor starts the rest.
    if outcome.paste.is_none() {
        let lines = outcome.start.iter().map(|start| command(&start.command));
        steps.push(("Run one of these:".to_owned(), lines.collect::<Vec<_>>().join("\n")));
    }
    let mut text = format!("{} {}.\n", editor.name(), editor.way());
    for (what, lines) in steps {
        text.push_str(&format!("\n{what}\n\n    {}\n", lines.replace('\n', "\n    ")));
    }
    for note in &outcome.notes {
        text.push_str(&format!("\n{note}\n"));
    }
    text + &format!("\nTried: {}.", editor.tried())
}

fn command(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
