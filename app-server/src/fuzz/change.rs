//! Bytes out of a corpus and a seed. Pure.

/// Random numbers of a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 for 0.
    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { usize::try_from(self.next() % end as u64).unwrap() }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Whether lines end with their crc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    Yes,
    No,
}

/// The entries that a target starts from, and how they change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Corpus<'a> {
    pub(super) entries: &'a [&'a str],
    signed: Signed,
    /// The value behind a colon becomes one of these.
    values: &'a [&'a str],
}

impl<'a> Corpus<'a> {
    /// Lines that end with their crc.
    pub(super) fn signed(entries: &'a [&'a str]) -> Self {
        Self { entries, signed: Signed::Yes, values: VALUES }
    }

    /// Lines of JSON.
    pub(crate) fn json(entries: &'a [&'a str]) -> Self {
        Self { entries, signed: Signed::No, values: VALUES }
    }

    /// Heads of HTTP requests.
    pub(crate) fn heads(entries: &'a [&'a str]) -> Self {
        Self { entries, signed: Signed::No, values: HEADERS }
    }
}

/// Values that headers become.
const HEADERS: &[&str] = &[
    " ",
    " 127.0.0.1:4500",
    " localhost",
    " localhost:080",
    " [127.0.0.1]",
    " ::1",
    " [::1]:4500",
    " 127.0.0.1.evil.example",
    " user@localhost:4500",
    " evil.example",
    " http://127.0.0.1:4500",
    " http://localhost:5173",
    " http://localhost:4500",
    " http://evil.example",
    " http://LOCALHOST:5173",
    " http://localhost:5173.",
    " http://user@localhost:5173",
    " http://xn--e1afmkfd.example",
    " null",
    " file://",
    " tauri://localhost",
    " same-origin",
    " cross-site",
    " script",
    " websocket",
    " Upgrade",
    " keep-alive",
    " 0",
    " 13",
    " 4096",
    " chunked",
    " application/json",
    " text/plain",
    " Bearer skein_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    " Basic dXNlcjpwYXNz",
    " skein.v1",
    " skein.v1, skein.auth.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    " skein.auth.",
    " \u{e4}\u{2028}",
];

/// Values that numbers, texts and objects become.
const VALUES: &[&str] = &[
    "0",
    "-1",
    "1",
    "9",
    "18446744073709551615",
    "9223372036854775807",
    "-9223372036854775808",
    "1e400",
    "-0.0",
    "0.1",
    "3.141592653589793",
    "1.7976931348623157e308",
    "null",
    "true",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "\"inProgress\"",
    "\"turn-1\"",
    "\"2026-13-45T99:99:99Z\"",
    "\"9999-12-31T23:59:59.999Z\"",
    "\"-009999-01-02T01:59:59Z\"",
    "\"/../../etc\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"session_meta\"",
    "\"user_message\"",
    "\"task_started\"",
    "\"turn.started\"",
    "\"turn.completed\"",
    "\"unknown\"",
];

/// An entry of the corpus, changed in a few places.
pub(super) fn changed(corpus: Corpus<'_>, seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    // The first seeds are the corpus as it is.
    let as_it_is = usize::try_from(seed).ok().and_then(|at| corpus.entries.get(at));
    let entry = as_it_is.copied().unwrap_or_else(|| dice.pick(corpus.entries));
    let mut lines: Vec<Vec<u8>> = entry.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect();
    if as_it_is.is_none() {
        for _ in 0..=dice.below(6) {
            change(&mut lines, corpus, &mut dice);
        }
    }
    if corpus.signed == Signed::Yes && (as_it_is.is_some() || dice.below(4) > 0) {
        lines.iter_mut().for_each(sign);
    }
    let mut bytes = lines.concat();
    if as_it_is.is_none() && dice.below(4) == 0 {
        damage(&mut bytes, &mut dice);
    }
    bytes
}

/// Changes lines as a whole, or a value in one.
fn change(lines: &mut Vec<Vec<u8>>, corpus: Corpus<'_>, dice: &mut Dice) {
    let at = dice.below(lines.len());
    match dice.below(8) {
        0 if !lines.is_empty() => drop(lines.remove(at)),
        1 if !lines.is_empty() => {
            let line = lines[at].clone();
            lines.insert(dice.below(lines.len()), line);
        }
        2 if !lines.is_empty() => {
            let other = dice.below(lines.len());
            lines.swap(at, other);
        }
        3 => {
            let others: Vec<&str> = dice.pick(corpus.entries).split_inclusive('\n').collect();
            lines.insert(at, dice.pick(&others).as_bytes().to_vec());
        }
        _ => {
            if let Some(line) = lines.get_mut(at) {
                value(line, corpus.values, dice);
            }
        }
    }
}

/// Puts another value, or a deep one, behind a colon.
fn value(line: &mut Vec<u8>, values: &[&str], dice: &mut Dice) {
    let colons: Vec<usize> =
        line.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at).collect();
    if colons.is_empty() {
        return;
    }
    let from = dice.pick(&colons) + 1;
    let end = line[from..]
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b']' | b'\n'))
        .map_or(line.len(), |at| from + at);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let long = format!("\"{}\"", "x".repeat(5_000));
    let new = match dice.below(40) {
        0 => deep.as_str(),
        1 => long.as_str(),
        _ => dice.pick(values),
    };
    line.splice(from..end, new.bytes());
}

/// Gives a line the crc that its bytes have.
fn sign(line: &mut Vec<u8>) {
    let text = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
    let crc = b",\"crc\":\"";
    let covered = match text.windows(crc.len()).rposition(|window| window == crc) {
        Some(at) => &text[..at],
        None => text.strip_suffix(b"}").unwrap_or(&text),
    };
    let mut signed = covered.to_vec();
    signed.extend_from_slice(format!(",\"crc\":\"{:08x}\"}}\n", crc32c::crc32c(covered)).as_bytes());
    *line = signed;
}

/// Changes bytes without looking at them.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            0 => bytes.truncate(at),
            1 => {
                let end = (at + dice.below(300)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 => drop(bytes.splice(at..at, [0; 512])),
            3 => bytes.insert(at, u8::try_from(dice.below(256)).unwrap()),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
}
