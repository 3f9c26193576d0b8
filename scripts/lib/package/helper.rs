//! A helper (MCP server process) for the tests of packages: one tool, and no library, so that it also runs in an empty image.

use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let Some(id) = member(&line, "id") else { continue };
        let answer = match member(&line, "method") {
            Some("\"initialize\"") => {
                r#""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"packaged","version":"1"}}"#
            }
            Some("\"tools/list\"") => {
                r#""result":{"tools":[{"name":"greet","description":"Greets.","inputSchema":{"type":"object"}}]}"#
            }
            Some("\"ping\"") => r#""result":{}"#,
            _ => r#""error":{"code":-32601,"message":"method not found"}"#,
        };
        let mut out = io::stdout().lock();
        writeln!(out, r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#)?;
        out.flush()?;
    }
    Ok(())
}

/// The text of a member that is a number or a plain string. The requests of a handshake have none of these names inside.
fn member<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
    let rest = rest.trim_start();
    let end = match rest.strip_prefix('"') {
        Some(inside) => inside.find('"')? + 2,
        None => rest.find([',', '}'])?,
    };
    rest.get(..end)
}
