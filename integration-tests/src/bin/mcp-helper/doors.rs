//! Attempts to connect to a server: the tool `connect`, and the child processes that carry it out.
//!
//! The argument `how` says from where: `itself`, `grandchild` (in a session of its own, after two forks), `shed` (the
//! same, without environment, other descriptors, a cgroup of its own, and with lower limits), or `leaderless` (a grandchild whose
//! first thread has ended). `door` is `HOST:PORT`, or the path
//! of a unix socket. `target` is the path of the request, `/` by default, `headers` are further header lines, and each of
//! `messages` is sent once the door is open. The answer is JSON: `status` and `body` of the HTTP answer with the
//! `answers` to the requests among the messages, or `error`. With `body`, which is JSON, the request is a POST. With
//! `leaves` the socket closes behind the request and the messages, after `lingers` µs, and the answer is `left`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::libc;
use nix::unistd::{ForkResult, fork, setsid};
use serde_json::{Value, json};

use super::{result, say};

/// The switch of the child processes; the arguments of the tool follow.
pub(crate) const SWITCH: &str = "--connect";
/// The longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(20);
/// The headers of a websocket handshake.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// The longest body and message that are shown, bytes.
const SHOWN: usize = 64 << 10;

/// The tool, as in `tools/list`.
pub(crate) fn tools() -> Vec<Value> {
    vec![json!({
        "name": "connect", "description": "Connects to a server, and answers with what it got.",
        "inputSchema": { "type": "object", "required": ["door"], "properties": {
            "door": { "type": "string" }, "how": { "type": "string" }, "target": { "type": "string" },
            "headers": { "type": "array" }, "messages": { "type": "array" }, "leaves": { "type": "boolean" },
        } },
    })]
}

/// Answers the call if the tool belongs to this module. Returns whether it does.
pub(crate) fn call(id: &Value, tool: &str, arguments: &Value) -> bool {
    if tool != "connect" {
        return false;
    }
    let (id, arguments) = (id.clone(), arguments.clone());
    // The server may ask this helper while it connects.
    std::thread::spawn(move || match attempt(&arguments) {
        Ok(found) => say(&id, &found),
        Err(error) => result(&id, &error.to_string(), true),
    });
    true
}

/// The result of one attempt.
fn attempt(arguments: &Value) -> io::Result<String> {
    if arguments["how"].as_str().unwrap_or("itself") == "itself" {
        return Ok(connect(arguments).to_string());
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SWITCH).arg(arguments.to_string()).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).spawn()?;
    // To the end of the pipe, as the child is not the process that connects.
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}

/// Carries out an attempt as a child process, and prints its result. Call it before there is a second thread.
pub(crate) fn be_child(arguments: &str) -> io::Result<()> {
    let arguments: Value = serde_json::from_str(arguments)?;
    leave()?;
    setsid()?;
    leave()?;
    if arguments["how"] == "shed" {
        return shed(arguments);
    }
    if arguments["how"] == "leaderless" {
        return without_first_thread(move || report(&arguments));
    }
    report(&arguments)
}

fn report(arguments: &Value) -> io::Result<()> {
    io::stdout().write_all(connect(arguments).to_string().as_bytes())
}

/// Runs `rest` in another thread, once this one, the first, has ended. The process then looks like a zombie.
fn without_first_thread(rest: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let stat = format!("/proc/{}/stat", std::process::id());
    std::thread::spawn(move || {
        while !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z ")) {
            std::thread::yield_now();
        }
        std::process::exit(i32::from(rest().is_err()))
    });
    // SAFETY: it ends only this thread, which owns nothing that the other one needs.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    Err(io::Error::other("this thread has not ended"))
}

/// Continues as a child of this process, which ends.
fn leave() -> io::Result<()> {
    // SAFETY: this process has one thread, so the child may run any code.
    if let ForkResult::Parent { .. } = unsafe { fork() }? {
        std::process::exit(0);
    }
    Ok(())
}

/// Runs again without anything that shows a helper.
fn shed(mut arguments: Value) -> io::Result<()> {
    arguments["how"] = json!("bare");
    let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
    for resource in [libc::RLIMIT_RSS, libc::RLIMIT_LOCKS] {
        // SAFETY: the limit lives until the call returns. A refusal leaves the tag, and the test sees it.
        unsafe { libc::setrlimit(resource, &raw const limit) };
    }
    // Only where this user may write it; elsewhere the process stays in the cgroup of its helper.
    let _ = std::fs::write("/sys/fs/cgroup/cgroup.procs", "0");
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("innocent").arg(SWITCH).arg(arguments.to_string()).env_clear();
    // SAFETY: nothing in this process uses another descriptor than the standard ones.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    Err(command.exec())
}

/// A connection to a door.
enum Door {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Door {
    fn open(door: &str) -> io::Result<Self> {
        if door.starts_with('/') {
            let stream = UnixStream::connect(door)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(Self::Unix(stream));
        }
        let stream = TcpStream::connect(door)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::Tcp(stream))
    }
}

impl Read for Door {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Door {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connect(arguments: &Value) -> Value {
    exchange(arguments).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// The whole exchange with the server.
fn exchange(arguments: &Value) -> io::Result<Value> {
    let door = arguments["door"].as_str().unwrap_or_default();
    let host = if door.starts_with('/') { "localhost" } else { door };
    let target = arguments["target"].as_str().unwrap_or("/");
    let headers: String = list(arguments, "headers").iter().map(|line| format!("{line}\r\n")).collect();
    let mut server = BufReader::new(Door::open(door)?);
    let rest = match arguments["body"].as_str() {
        Some(body) => {
            let length = body.len();
            format!("Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        }
        None => format!("{UPGRADE}{headers}\r\n"),
    };
    let method = if arguments["body"].is_string() { "POST" } else { "GET" };
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{rest}").into_bytes();
    if arguments["leaves"] == true {
        list(arguments, "messages").iter().try_for_each(|message| send(&mut request, message.as_bytes()))?;
    }
    server.get_mut().write_all(&request)?;
    if arguments["leaves"] == true {
        linger(Duration::from_micros(arguments["lingers"].as_u64().unwrap_or_default()));
        return Ok(json!({ "left": true }));
    }
    let (status, length) = answer_head(&mut server)?;
    if status != 101 {
        let mut body = Vec::new();
        let most = length.unwrap_or(SHOWN).min(SHOWN);
        server.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut body)?;
        return Ok(json!({ "status": status, "body": String::from_utf8_lossy(&body) }));
    }
    let mut answers = Vec::new();
    for message in list(arguments, "messages") {
        send(server.get_mut(), message.as_bytes())?;
        if !is_request(&message)? {
            continue;
        }
        // The answer is the message with an id; notifications may come before it.
        answers.push(loop {
            let answer: Value = serde_json::from_str(&receive(&mut server)?)?;
            if !answer["id"].is_null() && answer["method"].is_null() {
                break answer;
            }
        });
    }
    Ok(json!({ "status": status, "body": "", "answers": answers }))
}

#[expect(clippy::disallowed_methods, reason = "closes the connection while the server looks at it")]
fn linger(time: Duration) {
    std::thread::sleep(time);
}

/// Whether a message has an answer.
fn is_request(message: &str) -> io::Result<bool> {
    let message: Value = serde_json::from_str(message)?;
    Ok(!message["id"].is_null() && !message["method"].is_null())
}

/// The texts of a list; a message may be written as an object.
fn list(arguments: &Value, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    arguments[name].as_array().map(|all| all.iter().map(text).collect()).unwrap_or_default()
}

/// The status of the answer, and the length of its body.
fn answer_head(server: &mut impl BufRead) -> io::Result<(u16, Option<usize>)> {
    let mut line = String::new();
    server.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("closed without an answer"))?;
    let mut length = None;
    loop {
        line.clear();
        if server.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok((status, length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

/// Sends a text message in one frame (RFC 6455, 5.2), under the mask 0.
fn send(server: &mut impl Write, text: &[u8]) -> io::Result<()> {
    let mut frame = vec![0x81];
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(length @ ..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text);
    server.write_all(&frame)
}

/// The next text message. Fails at a close frame.
fn receive(server: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        let mut head = [0; 2];
        server.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                server.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                server.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        server.read_exact(&mut payload)?;
        match head[0] & 0x0f {
            0 | 1 => text.extend(payload),
            8 => return Err(io::Error::other(format!("closed with {payload:?}"))),
            _ => continue,
        }
        if head[0] & 0x80 != 0 {
            return String::from_utf8(text).map_err(io::Error::other);
        }
    }
}
