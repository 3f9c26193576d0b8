//! Reasoning under the member names that servers use. It goes back under the same name. Pure.

use serde_json::{Map, Value};

/// Members with reasoning text.
pub(crate) const THOUGHTS: [&str; 2] = ["reasoning_content", "reasoning"];
/// OpenRouter's list of summaries, signed texts and sealed pieces.
pub(crate) const DETAILS: &str = "reasoning_details";
/// Members of such a piece that grow delta by delta.
const GROWING: [&str; 3] = ["text", "summary", "data"];

/// The own form, if this interface made it; other providers' forms are dropped.
pub(crate) fn own(own_form: &Value) -> Option<&Map<String, Value>> {
    let own = own_form.as_object()?;
    let known = |(key, value): (&String, &Value)| match value {
        Value::String(_) => THOUGHTS.contains(&key.as_str()),
        Value::Array(_) => key == DETAILS,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    own.iter().all(known).then_some(own)
}

/// Adds a thought to a message; continues one that is already there under the same name.
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
