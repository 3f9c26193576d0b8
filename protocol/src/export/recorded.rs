//! Requests and answers that a server has had, for METHODS.md. A test of the whole server writes `recorded.txt`.

use serde_json::Value;

const RECORDED: &str = include_str!("recorded.txt");

/// The width of a line of an example, in characters.
const WIDTH: usize = 110;
/// The number of shown elements of a list, and of members of an object that is a table.
const SHOWN: usize = 2;
/// Objects whose keys are names that users choose.
const TABLES: [&str; 2] = ["model_providers", "tools"];

/// The first request with this method and its answer, in lines; `None` if none was recorded.
pub(super) fn example(method: &str) -> Option<String> {
    let messages = || RECORDED.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(3..)?).ok());
    let request = messages().find(|message| message.get("method").is_some_and(|name| name == method))?;
    let is_answer = |message: &Value| message.get("result").is_some() && message["id"] == request["id"];
    let answer = messages().find(is_answer)?;
    Some(format!("{}\n\n{}", filled(&request), filled(&answer)))
}

/// A message in lines of at most [`WIDTH`] characters, where its texts are not longer.
fn filled(message: &Value) -> String {
    let mut pieces = Vec::new();
    take_apart(message, "", "", &mut pieces);
    fill(pieces.iter().map(String::as_str), WIDTH, "  ")
}

/// Joins pieces by blanks into lines; all but the first line begin with `indent`.
pub(super) fn fill<'a>(pieces: impl Iterator<Item = &'a str>, width: usize, indent: &str) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for piece in pieces {
        let length = piece.chars().count();
        if used == 0 {
            used = length;
        } else if used + 1 + length <= width {
            text.push(' ');
            used += 1 + length;
        } else {
            text += &format!("\n{indent}");
            used = indent.len() + length;
        }
        text += piece;
    }
    text
}

/// The pieces of a value, each up to its comma: `before`, and the value named `name`.
fn take_apart(value: &Value, name: &str, before: &str, pieces: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut ordered: Vec<_> = members.iter().collect();
            ordered.sort_by_key(|(key, _)| (*key != "id", *key != "method"));
            let named = ordered.into_iter().map(|(key, value)| (format!("\"{key}\": "), key.as_str(), value));
            let shown = if TABLES.contains(&name) { SHOWN } else { usize::MAX };
            enclose(named.collect(), shown, [&format!("{before}{{"), "}"], pieces);
        }
        Value::Array(list) if !list.is_empty() => {
            let elements = list.iter().map(|element| (String::new(), "", element)).collect();
            enclose(elements, SHOWN, [&format!("{before}["), "]"], pieces);
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::String(_)
        | Value::Number(_)
        | Value::Bool(_)
        | Value::Null => {
            pieces.push(format!("{before}{value}"));
        }
    }
}

/// The pieces of a list or an object: the prefix, the name and the value of each element. An ellipsis stands for the others.
fn enclose(
    elements: Vec<(String, &str, &Value)>,
    shown: usize,
    [open, close]: [&str; 2],
    pieces: &mut Vec<String>,
) {
    let left_out = elements.len() > shown;
    let last = elements.len().min(shown) - 1;
    for (at, (prefix, name, value)) in elements.into_iter().take(shown).enumerate() {
        let before = if at == 0 { format!("{open}{prefix}") } else { prefix };
        take_apart(value, name, &before, pieces);
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(if at < last || left_out { "," } else { close });
        }
    }
    if left_out {
        pieces.push(format!("…{close}"));
    }
}

#[test]
fn an_example_shows_two_elements_of_a_list_and_breaks_between_members() {
    let message = serde_json::json!({ "result": { "data": [1, 2, 3], "tools": { "a": {}, "b": [], "c": 1 } }, "id": 7 });
    let expected = r#"{"id": 7, "result": {"data": [1, 2, …], "tools": {"a": {}, "b": [], …}}}"#;
    assert_eq!(filled(&message), expected);
    let long = serde_json::json!({ "a": "x".repeat(60), "b": "y".repeat(60) });
    assert_eq!(filled(&long).lines().count(), 2);
}
