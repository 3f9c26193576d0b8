//! A stdio MCP server (revision 2025-11-25, or the one in `--speaks`) that misbehaves on request, for tests
//! and demonstrations.
//!
//! `mcp-helper [SWITCH...]`; the switches are the fields of [`Manners`], its tools those of [`TOOLS`],
//! [`asks::TOOLS`], [`rounds::TOOLS`], [`hints::tools`] and [`doors::tools`]. The program is small on purpose: no async
//! runtime, and a thread for each slow call.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, signal};
use serde_json::{Value, json};

#[path = "mcp-helper/asks.rs"]
mod asks;
#[path = "mcp-helper/doors.rs"]
mod doors;
#[path = "mcp-helper/era.rs"]
mod era;
#[path = "mcp-helper/faults.rs"]
mod faults;
#[path = "mcp-helper/hints.rs"]
mod hints;
#[path = "mcp-helper/pipe.rs"]
mod pipe;
#[path = "mcp-helper/rounds.rs"]
mod rounds;
#[path = "mcp-helper/zoo.rs"]
mod zoo;

/// A tool's name, its description, and its only argument with the JSON type.
type Tool = (&'static str, &'static str, Option<(&'static str, &'static str)>);

const TOOLS: &[Tool] = &[
    ("echo", "Answers with the text.", Some(("text", "string"))),
    ("sleep", "Answers after a while; a cancelled call gets no answer.", Some(("ms", "integer"))),
    ("hang", "Never answers.", None),
    ("deaf", "Never answers, and reads no more input.", None),
    ("crash", "Exits with code 3 instead of answering.", None),
    ("close", "Closes standard output instead of answering, and lives on.", None),
    ("garbage", "Prints a line that is not JSON instead of answering.", None),
    ("bigline", "Answers with a text of so many bytes.", Some(("bytes", "integer"))),
    (
        "stderr_flood",
        "Writes so many bytes without a newline to stderr, then answers.",
        Some(("bytes", "integer")),
    ),
    ("pid", "Answers with its process id.", None),
    ("cwd", "Answers with its working directory.", None),
    ("env", "Answers with its environment as JSON.", None),
    ("fds", "Answers with its open descriptors as JSON.", None),
    ("spawn", "Starts a child that waits for ever, and answers with its process id.", None),
    ("meta", "Answers with the `_meta` of the call, as JSON.", None),
    ("progress", "Sends so many progress notifications, then answers.", Some(("steps", "integer"))),
];

/// The switches.
#[derive(Debug, Default, Clone)]
struct Manners {
    /// `--ignore-term`: SIGTERM has no effect.
    ignore_term: bool,
    /// `--ignore-eof`: keeps running after the end of its input.
    ignore_eof: bool,
    /// `--grandchild`: starts a child in its own session. The child ignores SIGTERM if this process does.
    grandchild: bool,
    /// `--hang-at-start`: answers nothing.
    hang_at_start: bool,
    /// `--exit-at-start CODE`.
    exit_at_start: Option<i32>,
    /// `--start-delay-ms MS`: pause before the first answer.
    start_delay: Duration,
    /// `--wait-for-ever`: not a server, but the child that `--grandchild` and the tool `spawn` start.
    wait_for_ever: bool,
    /// `--no-tools`: declares no tools, and refuses to list them.
    no_tools: bool,
    /// `--instructions TEXT`: instructions in the handshake.
    instructions: Option<String>,
    /// `--speaks HOW`.
    speaks: era::Speaks,
    /// `--zoo MODE TAG`: one of the modes of [`zoo`].
    zoo: Option<(zoo::Mode, String)>,
    /// `--pipe FILE`: this process and all its children hold the pipe open.
    pipe: pipe::Pipe,
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [child, _tag, ways @ ..] = &args[..]
        && child == "--zoo-child"
    {
        return zoo::be_child(ways);
    }
    if let [switch, arguments] = &args[..]
        && switch == doors::SWITCH
    {
        return doors::be_child(arguments);
    }
    let manners = Manners::parse(args.into_iter()).unwrap_or_else(|wrong| {
        eprintln!("mcp-helper: {wrong}");
        std::process::exit(2)
    });
    if manners.ignore_term {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?;
    }
    if manners.wait_for_ever {
        // A session of its own, without terminal. The call fails only if this process already leads a group.
        let _ = nix::unistd::setsid();
        wait_for_ever();
    }
    if let Some(code) = manners.exit_at_start {
        eprintln!("exiting with {code} on request");
        std::process::exit(code);
    }
    if manners.grandchild {
        spawn_child(&manners)?;
    }
    if let Some((mode, tag)) = &manners.zoo {
        manners.pipe.started();
        mode.begin(tag)?;
    }
    let server = Arc::new(Server::default());
    server.wait(&Value::Null, manners.start_delay);
    serve(&server, &manners);
    if manners.ignore_eof || manners.hang_at_start {
        wait_for_ever();
    }
    Ok(())
}

impl Manners {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut manners = Self::default();
        while let Some(arg) = args.next() {
            let mut number =
                || args.next().and_then(|text| text.parse().ok()).ok_or(format!("{arg} takes a number"));
            match arg.as_str() {
                "--stubborn" => {
                    (manners.ignore_term, manners.ignore_eof, manners.grandchild) = (true, true, true);
                }
                "--ignore-term" => manners.ignore_term = true,
                "--ignore-eof" => manners.ignore_eof = true,
                "--grandchild" => manners.grandchild = true,
                "--hang-at-start" => manners.hang_at_start = true,
                "--exit-at-start" => manners.exit_at_start = Some(number()?),
                "--start-delay-ms" => {
                    manners.start_delay = Duration::from_millis(number()?.unsigned_abs().into())
                }
                "--instructions" => manners.instructions = args.next(),
                "--no-tools" => manners.no_tools = true,
                "--wait-for-ever" => manners.wait_for_ever = true,
                "--speaks" => manners.speaks = era::Speaks::named(&args.next().unwrap_or_default()),
                "--zoo" => {
                    let mode = zoo::Mode::named(&args.next().unwrap_or_default())?;
                    manners.zoo = Some((mode, args.next().ok_or("--zoo takes a mode and a tag")?));
                    (manners.ignore_term, manners.ignore_eof) = (mode.ignores_term(), mode.ignores_eof());
                }
                "--pipe" => manners.pipe = pipe::Pipe::open(&args.next().unwrap_or_default()),
                _ => return Err(format!("unknown switch {arg}")),
            }
        }
        Ok(manners)
    }
}

/// Calls in flight, by request id. A client can cancel them.
#[derive(Debug, Default)]
struct Server {
    cancelled: Mutex<HashMap<String, bool>>,
    changed: Condvar,
    asks: Arc<asks::Asks>,
}

fn serve(server: &Arc<Server>, manners: &Manners) {
    let mut begun = false;
    for line in io::stdin().lock().lines() {
        let Ok(message) =
            line.map_err(drop).and_then(|line| serde_json::from_str::<Value>(&line).map_err(drop))
        else {
            continue;
        };
        if manners.hang_at_start {
            continue;
        }
        if manners.speaks.handle(&message, &mut begun) == era::Handled::Done {
            continue;
        }
        let id = message["id"].clone();
        match message["method"].as_str() {
            Some("initialize") => {
                let mut hello = hello(&message["params"]["protocolVersion"]);
                if manners.no_tools {
                    hello["capabilities"] = json!({ "resources": {} });
                }
                if let Some(text) = &manners.instructions {
                    hello["instructions"] = json!(text);
                }
                answer(&id, &hello);
            }
            Some("ping") => answer(&id, &json!({})),
            Some("tools/list") if !manners.no_tools => {
                let silent = TOOLS.iter().chain(asks::TOOLS).chain(rounds::TOOLS).map(tool);
                let tools: Vec<Value> = silent.chain(hints::tools()).chain(doors::tools()).collect();
                answer(&id, &json!({ "tools": tools }));
            }
            Some("resources/list") => answer(&id, &resources(&message["params"]["cursor"])),
            Some("resources/templates/list") => answer(
                &id,
                &json!({ "resourceTemplates": [
                { "name": "any", "uriTemplate": "memo://{name}" },
            ] }),
            ),
            Some("resources/read") => {
                let params = &message["params"];
                if !manners.speaks.has_no_requests() || !rounds::read(&id, params) {
                    read(&id, params["uri"].as_str().unwrap_or_default());
                }
            }
            Some("tools/call") => call(server, manners, id.clone(), &message["params"]),
            Some("notifications/cancelled") => server.cancel(&message["params"]["requestId"]),
            Some(unknown) if !id.is_null() => {
                send(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": unknown } }));
            }
            None if !id.is_null() => server.asks.answered(message.clone()),
            Some(_) | None => {}
        }
        if let (Some((mode, _)), Some(method)) = (&manners.zoo, message["method"].as_str()) {
            mode.answered(method, &id, manners.pipe);
        }
    }
}

fn hello(version: &Value) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": { "tools": {}, "resources": {} },
        "serverInfo": { "name": "mcp-helper", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// Two pages with one resource each.
fn resources(cursor: &Value) -> Value {
    match cursor.as_str() {
        None => json!({
            "resources": [{ "name": "one", "uri": "memo://one", "mimeType": "text/plain" }], "nextCursor": "2",
        }),
        Some(_) => json!({ "resources": [{ "name": "two", "uri": "memo://two", "size": 3 }] }),
    }
}

fn read(id: &Value, uri: &str) {
    match uri {
        "memo://one" => answer(id, &json!({ "contents": [{ "uri": uri, "text": "first" }] })),
        "memo://two" => {
            answer(id, &json!({ "contents": [{ "uri": uri, "blob": "AAEC", "mimeType": "x/y" }] }))
        }
        unknown => send(&json!({
            "jsonrpc": "2.0", "id": id, "error": { "code": -32002, "message": format!("no resource {unknown}") },
        })),
    }
}

fn tool(&(name, description, argument): &Tool) -> Value {
    let (properties, required) = match argument {
        Some((argument, kind)) => (json!({ argument: { "type": kind } }), vec![argument]),
        None => (json!({}), vec![]),
    };
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    json!({ "name": name, "description": description, "inputSchema": schema })
}

fn call(server: &Arc<Server>, manners: &Manners, id: Value, params: &Value) {
    if manners.speaks.has_no_requests() && rounds::call(&id, params) {
        return;
    }
    let arguments = &params["arguments"];
    let number = |name: &str| arguments[name].as_u64().unwrap_or_default();
    match params["name"].as_str().unwrap_or_default() {
        "echo" => say(&id, arguments["text"].as_str().unwrap_or_default()),
        "sleep" => {
            let (server, length) = (Arc::clone(server), Duration::from_millis(number("ms")));
            server.open(&id);
            std::thread::spawn(move || {
                if server.wait(&id, length) {
                    say(&id, "slept");
                }
            });
        }
        "hang" => {}
        "deaf" => wait_for_ever(),
        "crash" => {
            eprintln!("crashing on request");
            std::process::exit(3)
        }
        "close" => {
            // SAFETY: nothing in this program owns the descriptor; later prints fail, as intended.
            unsafe { nix::libc::close(1) };
        }
        "garbage" => print("this is not JSON"),
        "bigline" => say(&id, &"x".repeat(usize::try_from(number("bytes")).unwrap_or(usize::MAX))),
        "stderr_flood" => {
            flood(number("bytes"));
            say(&id, "flooded");
        }
        "pid" => say(&id, &std::process::id().to_string()),
        "cwd" => say(&id, &std::env::current_dir().unwrap_or_default().to_string_lossy()),
        "env" => {
            let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
            let all: HashMap<_, _> =
                std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
            say(&id, &json!(all).to_string());
        }
        "fds" => say(&id, &json!(descriptors()).to_string()),
        "spawn" => match spawn_child(manners) {
            Ok(pid) => say(&id, &pid.to_string()),
            Err(error) => result(&id, &error.to_string(), true),
        },
        "meta" => say(&id, &params["_meta"].to_string()),
        "progress" => {
            let token = &params["_meta"]["progressToken"];
            for step in 1..=number("steps") {
                let about =
                    json!({ "progressToken": token, "progress": step, "message": format!("step {step}") });
                send(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": about }));
            }
            say(&id, "done");
        }
        other if asks::call(&server.asks, &id, other, params) => {}
        other if hints::call(&id, other, arguments) => {}
        other if doors::call(&id, other, arguments) => {}
        unknown => result(&id, &format!("no tool {unknown:?}"), true),
    }
}

impl Server {
    fn open(&self, id: &Value) {
        self.calls().insert(id.to_string(), false);
    }

    fn cancel(&self, id: &Value) {
        if let Some(cancelled) = self.calls().get_mut(&id.to_string()) {
            *cancelled = true;
        }
        self.changed.notify_all();
    }

    /// Waits until `length` is over (`true`) or the call `id` is cancelled (`false`).
    fn wait(&self, id: &Value, length: Duration) -> bool {
        let id = id.to_string();
        let open = |calls: &mut HashMap<String, bool>| !calls.get(&id).copied().unwrap_or_default();
        let waited = self.changed.wait_timeout_while(self.calls(), length, open);
        let (mut calls, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        calls.remove(&id);
        timeout.timed_out()
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, HashMap<String, bool>> {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(id: &Value, text: &str) {
    result(id, text, false);
}

fn result(id: &Value, text: &str, is_error: bool) {
    answer(id, &json!({ "content": [{ "type": "text", "text": text }], "isError": is_error }));
}

fn answer(id: &Value, result: &Value) {
    send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
}

fn send(message: &Value) {
    print(&message.to_string());
}

fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    // If the reader is gone, the end of input or a signal follows.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn flood(bytes: u64) {
    let chunk = [b'x'; 4096];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(chunk.len() as u64);
        if io::stderr().write_all(&chunk[..usize::try_from(now).unwrap_or(chunk.len())]).is_err() {
            return;
        }
        left -= now;
    }
}

/// All open descriptors, except the one that lists them.
fn descriptors() -> Vec<u32> {
    let listed = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut all: Vec<u32> = listed
        .filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| !to.ends_with("fd")))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    all.sort_unstable();
    all
}

/// Starts a child in its own session. The child keeps this process's output open.
fn spawn_child(manners: &Manners) -> io::Result<u32> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--wait-for-ever").stdin(Stdio::null());
    if manners.ignore_term {
        command.arg("--ignore-term");
    }
    command.spawn().map(|child| child.id())
}

fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}
