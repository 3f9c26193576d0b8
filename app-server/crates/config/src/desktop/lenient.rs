//! JSON as editors let people write it: with comments, and with a comma behind the last entry.

/// Turns `text` into plain JSON; every line stays where it is.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    // The offset of a comma that may turn out to be a trailing one.
    let mut comma = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' => string(rest),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            other => other.len_utf8(),
        };
        let (token, behind) = rest.split_at(taken);
        if token.starts_with("//") || token.starts_with("/*") {
            plain.extend(token.chars().filter(|c| *c == '\n'));
        } else {
            if matches!(c, ']' | '}')
                && let Some(at) = comma.take()
            {
                plain.replace_range(at..=at, " ");
            }
            if !c.is_whitespace() {
                comma = (c == ',').then_some(plain.len());
            }
            plain.push_str(token);
        }
        rest = behind;
    }
    plain
}

/// Bytes of the string that `text` begins with, quotes included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn comments_and_last_commas_go_and_strings_stay() {
        let text = "{ // one\n \"a\": \"// no, \\\" ,}\", /* two\n lines */ \"b\": [1, 2,\n],}";
        let read: serde_json::Value = serde_json::from_str(&plain(text)).unwrap();
        assert_eq!(read, serde_json::json!({ "a": "// no, \" ,}", "b": [1, 2] }));
        assert_eq!(plain(text).lines().count(), text.lines().count());
        for odd in ["", "\"", "/*", "//", "\"\\", ",", "[,]", "é,]"] {
            plain(odd);
        }
    }
}
