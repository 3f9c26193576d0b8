//! Client tools in the form of older clients: functions without `type`, with the namespace beside the name.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::settings::{DynamicToolNamespaceTool, DynamicToolSpec};

/// A tool in the form before namespaces had a description.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Legacy {
    namespace: Option<String>,
    name: String,
    description: String,
    input_schema: Value,
    defer_loading: Option<bool>,
    expose_to_context: Option<bool>,
}

impl From<Legacy> for DynamicToolSpec {
    fn from(tool: Legacy) -> Self {
        let Legacy { namespace, name, description, input_schema, defer_loading, expose_to_context } = tool;
        let defer_loading = defer_loading.unwrap_or(expose_to_context == Some(false));
        match namespace {
            None => Self::Function { defer_loading, description, input_schema, name },
            Some(namespace) => {
                let tool =
                    DynamicToolNamespaceTool::Function { defer_loading, description, input_schema, name };
                Self::Namespace { description: String::new(), name: namespace, tools: vec![tool] }
            }
        }
    }
}

/// Whether a tool, or one in its namespace, has no `type`.
fn is_legacy(tool: &Value) -> bool {
    tool.is_object() && tool.get("type").is_none()
}

fn has_legacy_inside(tool: &Value) -> bool {
    tool.get("tools").and_then(Value::as_array).is_some_and(|tools| tools.iter().any(is_legacy))
}

/// Reads the list of tools in either form.
///
/// # Errors
/// A tool fits neither form, or the forms are mixed.
pub(crate) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<DynamicToolSpec>>, D::Error> {
    let Some(tools) = Option::<Vec<Value>>::deserialize(deserializer)? else { return Ok(None) };
    let legacy = tools.iter().filter(|tool| is_legacy(tool)).count();
    if (legacy > 0 && legacy < tools.len()) || tools.iter().any(has_legacy_inside) {
        return Err(D::Error::custom(
            "dynamic tools must use either canonical or legacy format consistently",
        ));
    }
    let read = |tool: Value| {
        if legacy > 0 {
            Legacy::deserialize(tool).map(Into::into)
        } else {
            DynamicToolSpec::deserialize(tool)
        }
    };
    tools.into_iter().map(read).collect::<Result<_, _>>().map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools(said: Value) -> Result<Option<Vec<DynamicToolSpec>>, String> {
        read(said).map_err(|error| error.to_string())
    }

    #[test]
    fn tools_without_a_type_are_functions_or_of_their_namespace() {
        let schema = json!({ "type": "object" });
        let plain = json!([{ "name": "a", "description": "d", "inputSchema": schema }]);
        let typed = json!([{ "type": "function", "name": "a", "description": "d", "inputSchema": schema }]);
        assert_eq!(tools(plain), tools(typed));
        let plain = json!([{ "namespace": "n", "name": "a", "description": "d", "inputSchema": schema, "exposeToContext": false }]);
        let inner = json!({ "type": "function", "name": "a", "description": "d", "inputSchema": schema, "deferLoading": true });
        let typed = json!([{ "type": "namespace", "name": "n", "description": "", "tools": [inner] }]);
        assert_eq!(tools(plain), tools(typed));
        assert_eq!(tools(Value::Null), Ok(None));
    }

    #[test]
    fn forms_that_are_mixed_and_tools_that_lack_something_are_refused() {
        let legacy = json!({ "name": "a", "description": "d", "inputSchema": {} });
        let typed = json!({ "type": "function", "name": "b", "description": "d", "inputSchema": {} });
        let inside = json!({ "type": "namespace", "name": "n", "description": "", "tools": [legacy] });
        for (wrong, says) in [
            (json!([legacy, typed]), "consistently"),
            (json!([inside]), "consistently"),
            (json!([{ "name": "a", "description": "d" }]), "missing field `inputSchema`"),
            (json!([{ "type": "other", "name": "a" }]), "unknown variant `other`"),
        ] {
            let error = tools(wrong).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
