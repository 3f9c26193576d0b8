//! Masks what looks like a secret in texts that nobody wrote for others: log lines, errors, findings.
//!
//! A text has no keys that say which part is secret. Masked are the value of a secret's name, the text behind
//! `Bearer` and `Basic`, users and queries of addresses, and long words of random characters.

use super::{MASK, is_secret_name, shown_url};

/// Words of the log and of identifiers that are long and no secret have fewer characters, or are an id of a thread.
const RANDOM: usize = 20;
/// Changes from a small letter to a capital in a text that no person wrote. 43 random characters have eleven, rarely below five.
const HUMPS: usize = 4;
/// The least length of a word with a beginning that only secrets have.
const KNOWN: usize = 12;
/// Beginnings of secrets of well-known services.
const BEGINNINGS: &[&str] = &[
    "sk-",
    "pk-",
    "rk-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "pypi-",
];
/// Ends of names of several secrets, which name no value: "it has secrets: chmod 600 it".
const SEVERAL: [&str; 5] = ["secrets", "tokens", "keys", "credentials", "cookies"];
/// Schemes of a credential in a header.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// A text without what looks like a secret. Line feeds stay.
pub fn shown_text(text: &str) -> String {
    text.split('\n').map(shown_line).collect::<Vec<_>>().join("\n")
}

/// The reader of one line.
#[derive(Default)]
struct MaskedLine {
    shown: String,
    /// The last word, which may be the name of the next value.
    name: String,
    /// The next word is a secret.
    is_next: bool,
    /// Everything up to this quotation mark is a secret.
    until: Option<char>,
}

fn shown_line(text: &str) -> String {
    let mut line = MaskedLine::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(end) = line.until {
            let behind = rest.find(end).map_or("", |at| &rest[at..]);
            line.until = None;
            rest = behind;
            continue;
        }
        if is_between(c) {
            line.between(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (word, behind) = rest.split_at(rest.find(is_between).unwrap_or(rest.len()));
        line.word(word);
        rest = behind;
    }
    line.shown
}

/// Whether a character stands between words.
fn is_between(c: char) -> bool {
    c.is_whitespace() || "\"'`,;()[]{}<>|".contains(c)
}

impl MaskedLine {
    fn between(&mut self, c: char) {
        self.shown.push(c);
        if self.is_next && matches!(c, '"' | '\'' | '`') && !self.name.is_empty() {
            self.shown.push_str(MASK);
            (self.is_next, self.until) = (false, Some(c));
        }
    }

    fn word(&mut self, word: &str) {
        let is_secret = std::mem::replace(&mut self.is_next, false);
        let plain = word.trim_end_matches([':', '=']);
        if plain.is_empty() {
            // A sign between a name in quotation marks and its value.
            self.is_next = names_a_value(&self.name);
            self.shown.push_str(word);
            return;
        }
        if SCHEMES.contains(&plain.to_ascii_lowercase().as_str()) {
            (self.is_next, self.name) = (true, plain.to_owned());
            self.shown.push_str(word);
            return;
        }
        let shown = if is_secret { MASK.to_owned() } else { shown_word(word) };
        self.shown.push_str(&shown);
        self.is_next = !is_secret && names_the_next(word, plain);
        self.name = plain.to_owned();
    }
}

/// Whether the next word is the value of this name.
fn names_the_next(word: &str, plain: &str) -> bool {
    names_a_value(plain) && !plain.contains('=') && (word.len() > plain.len() || plain.starts_with("--"))
}

/// Whether a secret may follow the name. The module of a log line, such as skein_config::access::credentials, names none.
fn names_a_value(name: &str) -> bool {
    let is_several = SEVERAL.iter().any(|word| name.to_ascii_lowercase().ends_with(word));
    is_secret_name(name) && !is_several && !name.contains("::") && !name.contains('/')
}

fn shown_word(word: &str) -> String {
    if word.contains("://") {
        // The address may be the value of a name: db=postgres://me:x@host/y.
        return without_random(&shown_url(word));
    }
    let at = word.find(['=', ':']).map(|at| at + 1).filter(|at| *at < word.len());
    if let Some((name, value)) = at.map(|at| word.split_at(at)).filter(|(_, value)| !value.starts_with(':')) {
        // The counters of a model's tokens.
        let is_count = name.contains("okens=") && value.bytes().all(|byte| byte.is_ascii_digit());
        if is_secret_name(name) && !is_count {
            return format!("{name}{MASK}");
        }
    }
    if word.contains('@') && word.contains(':') {
        return without_random(&shown_url(word));
    }
    without_random(word)
}

/// The word with a mask for each part of it that looks random.
fn without_random(word: &str) -> String {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let (mut shown, mut rest) = (String::with_capacity(word.len()), word);
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.find(|c| !is_inner(c)).unwrap_or(rest.len()));
        shown.push_str(if is_random(part) { MASK } else { part });
        let sign = behind.chars().next().map_or(0, char::len_utf8);
        shown.push_str(&behind[..sign]);
        rest = &behind[sign..];
    }
    shown
}

fn is_random(part: &str) -> bool {
    if part.len() >= KNOWN && BEGINNINGS.iter().any(|known| part.starts_with(known)) {
        return true;
    }
    if part.len() < RANDOM || is_id(part) || is_identifier(part) {
        return false;
    }
    let of = |is: fn(&u8) -> bool| part.bytes().filter(is).count();
    let (digits, upper) = (of(u8::is_ascii_digit), of(u8::is_ascii_uppercase));
    let has_both = upper > 1 && of(u8::is_ascii_lowercase) > 1;
    // Words that signs join begin with capitals; random letters change within words, too.
    let humps = part.as_bytes().windows(2).filter(|pair| {
        pair.first().is_some_and(u8::is_ascii_lowercase) && pair.last().is_some_and(u8::is_ascii_uppercase)
    });
    let is_word = part.contains(['-', '_']) && humps.count() < HUMPS;
    digits > 1 && digits < part.len() || has_both && !is_word
}

/// Whether it is a name of the program, such as `skein_app_server` or `skein_helper_zero_seconds`.
fn is_identifier(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whether it has the form of a UUID, as the ids of threads and turns have.
fn is_id(part: &str) -> bool {
    let lengths: Vec<usize> = part.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked_and_the_rest_stays() {
        for (text, shown) in [
            ("GET /x Authorization: Bearer abc.def refused", "GET /x Authorization: Bearer *** refused"),
            ("authorization: Basic bWU6cGFzcw==, next", "authorization: Basic ***, next"),
            ("{\"apiKey\": \"two words\", \"n\": 1}", "{\"apiKey\": \"***\", \"n\": 1}"),
            ("{\"password\":\"x\"}", "{\"password\":\"***\"}"),
            ("token=abc key: def end", "token=*** key: *** end"),
            ("start --token abc --root /srv", "start --token *** --root /srv"),
            ("--api-key=abc x", "--api-key=*** x"),
            ("at https://me:pass@host/mcp?key=abc failed", "at https://***@host/mcp?*** failed"),
            ("me:pass@host", "***@host"),
            ("ticket skein_0a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0u1 spent", "ticket *** spent"),
            ("it said ghp_abcdefghijklmnop", "it said ***"),
            ("session QWxhZGRpbjpvcGVuIHNlc2FtZQ", "session ***"),
            // One digit, and a sign between.
            ("used dKmXEK_J-sPYEcZAeCRrSneDgChXpbjSrG8RzEiQDbo", "used ***"),
            ("/hooks/T0/B1/a8f5f167f44f4964e6c998dee827110c", "/hooks/T0/B1/***"),
            ("Cookie: a=b", "Cookie: ***"),
        ] {
            assert_eq!(shown_text(text), shown);
        }
        for plain in [
            "2026-11-26T00:10:11.123456Z  INFO skein_app_server::http::auth: 3 tokens are known",
            "thread 0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b: 12 events, input_tokens=350",
            "process 12 (skein serve) has /home/me/.local/share/skein at ws://127.0.0.1:4500",
            "others can read config.toml, and it has secrets: chmod 600 it",
            "config.toml:3: model: \"gpt-5-codex\" is unknown; one of a, b",
            "helper @modelcontextprotocol/server-filesystem ended with exit code 3",
            "skein_helper_zero_seconds_bucket\nsecond line",
            "Cross-Origin-Resource-Policy and Sec-WebSocket-Protocol",
        ] {
            assert_eq!(shown_text(plain), plain);
        }
    }
}
