//! Tells code, comments and literals of Rust apart, as far as the walls need it.

/// A Rust text, taken apart. Lines count from 1.
#[derive(Debug, Default)]
pub(crate) struct Lexed {
    /// The text with comments and the insides of literals blanked; lines and columns stay.
    pub code: String,
    /// Each string literal: line of its begin, and what stands between its quotes, escapes unread.
    pub literals: Vec<(usize, String)>,
    /// The lines that a comment touches.
    pub commented: Vec<usize>,
}

/// Takes `text` apart.
pub(crate) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer { rest: text, line: 1, last: ' ', out: Lexed::default() };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.out
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    /// The last character of code, to tell `br"` from the end of a name.
    last: char,
    out: Lexed,
}

impl Lexer<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.comment(end);
        } else if self.rest.starts_with("/*") {
            let end = block_comment(self.rest);
            self.comment(end);
        } else if let Some((open, close)) = raw_string(self.rest).filter(|_| !is_name(self.last)) {
            let end = self.rest[open..].find(&close).map_or(self.rest.len(), |at| open + at);
            self.literal(open, end, close.len());
        } else if self.rest.starts_with('"') {
            self.literal(1, quoted(self.rest), 1);
        } else if let Some(end) = character(self.rest) {
            self.blank(end);
        } else {
            let first = self.rest.chars().next().map_or(1, char::len_utf8);
            self.keep(first);
        }
    }

    fn comment(&mut self, end: usize) {
        let from = self.line;
        self.blank(end);
        self.out.commented.extend(from..=self.line);
    }

    fn literal(&mut self, open: usize, end: usize, close: usize) {
        self.out.literals.push((self.line, self.rest[open..end].to_owned()));
        self.keep(open);
        self.blank(end - open);
        self.keep(close.min(self.rest.len()));
    }

    fn keep(&mut self, bytes: usize) {
        self.take(bytes, |c| c);
    }

    fn blank(&mut self, bytes: usize) {
        self.take(bytes, |c| if c == '\n' { c } else { ' ' });
    }

    fn take(&mut self, bytes: usize, shown: impl Fn(char) -> char) {
        let (now, rest) = self.rest.split_at(bytes);
        self.line += now.matches('\n').count();
        self.out.code.extend(now.chars().map(shown));
        self.last = self.out.code.chars().next_back().unwrap_or(' ');
        self.rest = rest;
    }
}

/// Whether `c` can be a part of a name.
pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Bytes up to the end of the block comment that `text` begins with; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// For a raw string: bytes up to its inside, and what closes it.
fn raw_string(text: &str) -> Option<(usize, String)> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| text.starts_with(*prefix))?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then(|| (prefix.len() + hashes + 1, format!("\"{}", "#".repeat(hashes))))
}

/// Bytes up to the closing quote of the string that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match (escaped, c) {
            (false, '"') => return at,
            (false, '\\') => escaped = true,
            (true | false, _) => escaped = false,
        }
    }
    text.len()
}

/// Bytes of the character literal that `text` begins with; none for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let after = escape.chars().next().map_or(0, char::len_utf8);
        return escape[after..].find('\'').map(|at| at + after + 3);
    }
    let first = inside.chars().next()?;
    inside[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

#[test]
fn code_comments_and_literals_are_told_apart() {
    let text = "let a = \"x // \\\" y\"; // one\nlet b = r#\"two \" \"#; /* a /* b */ \n c */ let c = '\"'; fn f<'a>() {}";
    let lexed = lex(text);
    let inside: Vec<_> = lexed.literals.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(inside, [(1, "x // \\\" y"), (2, "two \" ")]);
    assert_eq!(lexed.commented, [1, 2, 3]);
    assert!(lexed.code.ends_with("let c =    ; fn f<'a>() {}"), "{}", lexed.code);
    assert_eq!(lexed.code.lines().count(), 3);
}
