//! Fetches a provider's list of models (`GET /models`).

use serde_json::Value;

use super::endpoint::Endpoint;
use super::error::ModelError;
use super::form::{StreamError, some_text};
use super::refused;
use crate::{ListedModel, policy};

pub(super) async fn fetch(endpoint: &Endpoint) -> Result<Vec<ListedModel>, ModelError> {
    // Anthropic sends 20 by default; the others ignore the parameter.
    let sent = endpoint.get("models", ("limit", "1000")).send().await;
    let mut response = sent.map_err(|error| ModelError::of(&error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(refused(response, status).await);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| ModelError::of(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > policy::MODEL_LIST_BYTES {
            return Err(ModelError::Stream(StreamError::TooLong));
        }
    }
    let text = String::from_utf8_lossy(&body);
    let value = serde_json::from_slice(&body).map_err(|_| ModelError::NoEvents(text.into_owned()))?;
    Ok(models(&value))
}

/// Reads a list in any provider's form.
fn models(list: &Value) -> Vec<ListedModel> {
    let entries = list.get("data").or_else(|| list.get("models")).and_then(Value::as_array);
    let model = |entry: &Value| {
        let id = some_text(entry, "id").or_else(|| some_text(entry, "name"))?.to_owned();
        Some(ListedModel { id, display_name: some_text(entry, "display_name").map(ToOwned::to_owned) })
    };
    entries.into_iter().flatten().filter_map(model).take(policy::MODEL_LIST_MOST).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_every_provider_are_read() {
        let named = |id: &str, display_name: Option<&str>| ListedModel {
            id: id.to_owned(),
            display_name: display_name.map(ToOwned::to_owned),
        };
        let openai =
            json!({ "object": "list", "data": [{ "id": "gpt-5", "object": "model" }, { "object": "?" }, 3] });
        assert_eq!(models(&openai), [named("gpt-5", None)]);
        let anthropic =
            json!({ "data": [{ "type": "model", "id": "claude-x", "display_name": "Claude X" }] });
        assert_eq!(models(&anthropic), [named("claude-x", Some("Claude X"))]);
        assert_eq!(models(&json!({ "models": [{ "name": "a" }] })), [named("a", None)]);
        assert_eq!(models(&json!("no list")), []);
    }
}
