//! Switches between threads and counts leftover processes. Exits with 1 if there are any.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use skein_integration_tests::{demo, paths};

/// Switches between persisted threads of a real server, with real helper processes, and counts leftover
/// processes.
#[derive(Debug, Parser)]
#[command(name = "leak-demo")]
struct Arguments {
    /// Number of threads.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Use a helper that ignores SIGTERM and the end of its input, with a child in its own session.
    #[arg(long, conflicts_with = "command")]
    stubborn: bool,
    /// Print one JSON document instead of the table.
    #[arg(long)]
    json: bool,
    /// The tool that each turn calls.
    #[arg(long, value_name = "NAME", default_value = "echo")]
    tool: String,
    /// The tool's arguments, a JSON object.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Another helper instead of ours: its program and arguments.
    #[arg(last = true)]
    command: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let plan = plan(&arguments)?;
    let mut out = std::io::stdout();
    let report = demo::run(&plan, &mut |line| {
        if !arguments.json {
            writeln!(out, "{line}")?;
        }
        Ok(())
    })
    .await?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        writeln!(out, "\n{}", report.summary())?;
    }
    Ok(if report.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(arguments: &Arguments) -> Result<demo::Plan> {
    let ours = arguments.command.is_empty();
    let mut command = arguments.command.clone();
    if ours {
        command.push(paths::mcp_helper()?.to_string_lossy().into_owned());
    }
    if arguments.stubborn {
        command.push("--stubborn".to_owned());
    }
    // The argument of `echo`: our helper calls it text, the MCP reference server calls it message.
    let usual = if ours { json!({ "text": "hello" }) } else { json!({ "message": "hello" }) };
    let tool_arguments: Value = match &arguments.args {
        Some(text) => serde_json::from_str(text).with_context(|| format!("--args {text} is not JSON"))?,
        None => usual,
    };
    ensure!(tool_arguments.is_object(), "--args is not a JSON object");
    Ok(demo::Plan {
        threads: arguments.threads.into(),
        command,
        tool: arguments.tool.clone(),
        arguments: tool_arguments,
    })
}
