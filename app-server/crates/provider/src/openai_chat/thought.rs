//! Thoughts of a model, in the words that servers have for them. They go back by the same word. Pure.

use serde_json::{Map, Value};

/// Texts that are thoughts.
pub(crate) const THOUGHTS: [&str; 2] = ["reasoning_content", "reasoning"];
/// Thoughts as OpenRouter has them: a list of summaries, texts with a signature, and sealed pieces.
pub(crate) const DETAILS: &str = "reasoning_details";
/// Texts of such a piece that come a bit at a time.
const GROWING: [&str; 3] = ["text", "summary", "data"];

/// A thought in a form that this interface has given. Of another one it would be something else.
pub(crate) fn own(own_form: &Value) -> Option<&Map<String, Value>> {
    let own = own_form.as_object()?;
    let known = |(key, value): (&String, &Value)| match value {
        Value::String(_) => THOUGHTS.contains(&key.as_str()),
        Value::Array(_) => key == DETAILS,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    own.iter().all(known).then_some(own)
}

/// Adds a thought to a message, which may have one of the same word: then one goes on where the other ended.
pub(crate) fn put(message: &mut Map<String, Value>, own: Option<&Map<String, Value>>) {
    for (word, thought) in own.into_iter().flatten() {
        match (message.get_mut(word), thought) {
            (Some(Value::String(there)), Value::String(more)) => there.push_str(more),
            (Some(Value::Array(there)), Value::Array(more)) => there.extend(more.iter().cloned()),
            (_, thought) => {
                message.insert(word.clone(), thought.clone());
            }
        }
    }
}

/// Adds a piece to a list of details: to the last one, where it goes on with that.
pub(crate) fn join(details: &mut Vec<Value>, piece: &Value) {
    let same = |last: &Value| ["type", "index", "id"].iter().all(|key| last.get(key) == piece.get(key));
    let open = details.last_mut().filter(|last| piece["index"].is_number() && same(last));
    let (Some(Value::Object(open)), Value::Object(piece)) = (open, piece) else {
        return details.push(piece.clone());
    };
    for (key, value) in piece {
        match (open.get_mut(key), value) {
            (Some(Value::String(there)), Value::String(more)) if GROWING.contains(&key.as_str()) => {
                there.push_str(more);
            }
            (Some(_), Value::Null) => {}
            (_, value) => {
                open.insert(key.clone(), value.clone());
            }
        }
    }
}
