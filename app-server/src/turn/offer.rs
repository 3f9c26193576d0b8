//! The tools that a model is offered, and what a call of one means. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::helpers::HelperTool;
use crate::provider::{Callee, ToolCall, ToolSpec, tool_name};

/// The tools of a turn.
#[derive(Debug, Default)]
pub(super) struct Offer {
    specs: Arc<[ToolSpec]>,
    helpers: HashMap<String, HelperTool>,
}

/// A call that can be made: of this tool, with these arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// The helper.
    pub server: String,
    /// Its tool.
    pub tool: String,
    /// An object.
    pub arguments: Value,
}

impl Offer {
    /// These.
    pub fn of(tools: Vec<HelperTool>) -> Self {
        let specs = tools.iter().map(spec).collect();
        let named = |tool: HelperTool| (tool_name::of_helper(&tool.server, &tool.tool.name), tool);
        Self { specs, helpers: tools.into_iter().map(named).collect() }
    }

    /// As the model reads them, in the order of the settings.
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.specs)
    }

    /// What `call` calls; otherwise why it cannot be made, for the model.
    pub fn resolve(&self, call: &ToolCall) -> Result<Target, String> {
        let arguments = arguments(&call.arguments)?;
        match &call.callee {
            Callee::Helper { server, tool } => {
                Ok(Target { server: server.clone(), tool: tool.clone(), arguments })
            }
            Callee::Offered(name) => match self.helpers.get(name) {
                Some(HelperTool { server, tool }) => {
                    Ok(Target { server: server.clone(), tool: tool.name.clone(), arguments })
                }
                None => Err(format!("there is no tool named {name}")),
            },
        }
    }
}

fn spec(tool: &HelperTool) -> ToolSpec {
    ToolSpec {
        name: tool_name::of_helper(&tool.server, &tool.tool.name),
        description: tool.tool.description.clone().unwrap_or_default(),
        parameters: parameters(&tool.tool.input_schema),
    }
}

/// A tool's schema of arguments as providers take it: always that of an object, with its properties.
fn parameters(schema: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.insert("type".to_owned(), json!("object"));
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    Value::Object(schema)
}

/// What the model wrote, as an object; nothing is an empty one.
fn arguments(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Ok(Value::Object(arguments)),
        Ok(_) => Err("the arguments of a call have to be a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments of the call are not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: &str) -> ToolCall {
        ToolCall { id: "1".into(), callee: Callee::Offered(name.into()), arguments: arguments.into() }
    }

    fn offer() -> Offer {
        let tool =
            serde_json::from_value(json!({"name": "read.file", "inputSchema": {"required": ["path"]}}));
        Offer::of(vec![HelperTool { server: "files".into(), tool: tool.unwrap() }])
    }

    #[test]
    fn a_call_finds_the_tool_whose_name_the_model_could_not_have() {
        let offer = offer();
        let spec = &offer.specs()[0];
        assert_eq!(spec.parameters, json!({"type": "object", "properties": {}, "required": ["path"]}));
        let target = offer.resolve(&call(&spec.name, "{\"path\":\"a\"}")).unwrap();
        let (server, tool) = ("files".to_owned(), "read.file".to_owned());
        assert_eq!(target, Target { server, tool, arguments: json!({"path": "a"}) });
    }

    #[test]
    fn a_model_hears_what_is_wrong_with_its_call() {
        let offer = offer();
        let name = offer.specs()[0].name.clone();
        assert!(offer.resolve(&call("mcp__files__write", "{}")).unwrap_err().contains("mcp__files__write"));
        assert!(offer.resolve(&call(&name, "{")).unwrap_err().contains("not JSON"));
        assert!(offer.resolve(&call(&name, "[]")).unwrap_err().contains("object"));
        assert_eq!(offer.resolve(&call(&name, " ")).unwrap().arguments, json!({}));
    }
}
