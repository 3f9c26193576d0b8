//! The tools that a model may call, and the target of each call. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use skein_helpers::HelperTool;
use skein_provider::{Callee, ToolCall, ToolSpec, tool_name};

use super::own_tools::{ClientTool, Own, OwnTools};

#[derive(Debug, Default)]
pub(crate) struct Offer {
    specs: Arc<[ToolSpec]>,
    helpers: HashMap<String, HelperTool>,
    own: HashMap<String, Own>,
}

/// A call that can be made. Its arguments are an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CallTarget {
    Helper(HelperTarget),
    Client(ClientTool, Value),
    AskTheUser(Value),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HelperTarget {
    pub(crate) server: String,
    pub(crate) tool: String,
    pub(crate) arguments: Value,
}

/// Tools beyond the number that the model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) whose: Whose,
    /// Number of tools of this owner.
    pub(crate) of: usize,
    /// Number of tools left out.
    pub(crate) count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    Helper(String),
    /// The client's tools, and the question to the user as the last one.
    Thread,
}

impl Offer {
    /// Offers at most `most` tools: first the tools that no helper has, then those of the helpers. Cuts the largest
    /// helpers first, and returns the omitted tools.
    pub(crate) fn within(
        most: Option<usize>,
        mut tools: Vec<HelperTool>,
        own: &OwnTools,
    ) -> (Self, Vec<LeftOut>) {
        let Some(most) = most else { return (Self::of(tools, own), Vec::new()) };
        let mut own = own.offered();
        let (of, count) = (own.len(), own.len().saturating_sub(most));
        own.truncate(most);
        let own_left_out = (count > 0).then_some(LeftOut { whose: Whose::Thread, of, count });
        let mut sizes: Vec<(String, usize)> = Vec::new();
        for tool in &tools {
            match sizes.iter_mut().find(|(server, _)| *server == tool.server) {
                Some((_, size)) => *size += 1,
                None => sizes.push((tool.server.clone(), 1)),
            }
        }
        let mut shares = shares(&sizes, most.saturating_sub(own.len()));
        let left_out = sizes.into_iter().zip(&shares).filter(|((_, of), share)| share.1 < *of);
        let left_out = left_out.map(|((server, of), (_, share))| {
            let whose = Whose::Helper(server);
            LeftOut { whose, of, count: of - share }
        });
        let left_out = own_left_out.into_iter().chain(left_out).collect();
        tools.retain(|tool| match shares.iter_mut().find(|(server, _)| *server == tool.server) {
            Some((_, left)) if *left > 0 => {
                *left -= 1;
                true
            }
            Some(_) | None => false,
        });
        (Self::made(tools, own), left_out)
    }

    pub(crate) fn of(tools: Vec<HelperTool>, own: &OwnTools) -> Self {
        Self::made(tools, own.offered())
    }

    fn made(tools: Vec<HelperTool>, own: Vec<(ToolSpec, Own)>) -> Self {
        let specs = tools.iter().map(spec).chain(own.iter().map(|(spec, _)| spec.clone())).collect();
        let named = |tool: HelperTool| (tool_name::of_helper(&tool.server, &tool.tool.name), tool);
        let own = own.into_iter().map(|(spec, own)| (spec.name, own));
        Self { specs, helpers: tools.into_iter().map(named).collect(), own: own.collect() }
    }

    /// In the order of the settings, then the tools that no helper has.
    pub(crate) fn specs(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.specs)
    }

    /// The target of `call`, or for the model the reason why the call cannot be made.
    pub(crate) fn resolve(&self, call: &ToolCall) -> Result<CallTarget, String> {
        let arguments = arguments(&call.arguments)?;
        let of_helper = |server: &str, tool: &str, arguments| {
            CallTarget::Helper(HelperTarget { server: server.to_owned(), tool: tool.to_owned(), arguments })
        };
        match &call.callee {
            Callee::Helper { server, tool } => Ok(of_helper(server, tool, arguments)),
            Callee::Offered(name) => match (self.helpers.get(name), self.own.get(name)) {
                (Some(HelperTool { server, tool }), _) => Ok(of_helper(server, &tool.name, arguments)),
                (None, Some(Own::Client(tool))) => Ok(CallTarget::Client(tool.clone(), arguments)),
                (None, Some(Own::AskTheUser)) => Ok(CallTarget::AskTheUser(arguments)),
                (None, None) => Err(format!("there is no tool named {name}")),
            },
        }
    }
}

/// Splits the room among the helpers: small ones keep all tools, large ones share the rest.
fn shares(sizes: &[(String, usize)], mut room: usize) -> Vec<(String, usize)> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|at| sizes[*at].1);
    let mut shares: Vec<(String, usize)> = sizes.iter().map(|(server, _)| (server.clone(), 0)).collect();
    for (done, at) in by_size.iter().enumerate() {
        let share = sizes[*at].1.min(room / (sizes.len() - done));
        shares[*at].1 = share;
        room -= share;
    }
    shares
}

fn spec(tool: &HelperTool) -> ToolSpec {
    ToolSpec {
        name: tool_name::of_helper(&tool.server, &tool.tool.name),
        description: tool.tool.description.clone().unwrap_or_default(),
        parameters: parameters(&tool.tool.input_schema),
    }
}

/// A tool's schema as providers take it: always an object with `properties`.
pub(crate) fn parameters(schema: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.insert("type".to_owned(), json!("object"));
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    Value::Object(schema)
}

/// The model's arguments as an object; empty text is an empty object.
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
    use super::super::own_tools::{ASK_THE_USER, Asks};
    use super::*;

    fn call(name: &str, arguments: &str) -> ToolCall {
        ToolCall::new("1", Callee::Offered(name.into()), arguments)
    }

    fn offer() -> Offer {
        let tool =
            serde_json::from_value(json!({"name": "read.file", "inputSchema": {"required": ["path"]}}));
        let client = serde_json::from_value(json!([
            {"type": "function", "name": "look", "description": "looks", "inputSchema": {}},
        ]));
        let own = OwnTools { client: client.unwrap(), asks: Asks::Yes };
        Offer::of(vec![HelperTool { server: "files".into(), tool: tool.unwrap() }], &own)
    }

    #[test]
    fn a_call_finds_the_tool_whose_name_the_model_could_not_have() {
        let offer = offer();
        let spec = &offer.specs()[0];
        assert_eq!(spec.parameters, json!({"type": "object", "properties": {}, "required": ["path"]}));
        let target = offer.resolve(&call(&spec.name, "{\"path\":\"a\"}")).unwrap();
        let (server, tool) = ("files".to_owned(), "read.file".to_owned());
        let arguments = json!({"path": "a"});
        assert_eq!(target, CallTarget::Helper(HelperTarget { server, tool, arguments }));
    }

    #[test]
    fn a_call_of_a_tool_that_no_helper_has_goes_to_the_client_or_the_user() {
        let offer = offer();
        let names: Vec<&str> = offer.specs[1..].iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, ["look", ASK_THE_USER]);
        let tool = ClientTool { namespace: None, name: "look".into() };
        assert_eq!(offer.resolve(&call("look", "{\"a\":1}")), Ok(CallTarget::Client(tool, json!({"a": 1}))));
        assert_eq!(offer.resolve(&call(ASK_THE_USER, "")), Ok(CallTarget::AskTheUser(json!({}))));
    }

    fn tools(server: &str, count: usize) -> Vec<HelperTool> {
        let tool = |number| {
            serde_json::from_value(json!({"name": format!("t{number}"), "inputSchema": {}})).unwrap()
        };
        (0..count).map(|number| HelperTool { server: server.into(), tool: tool(number) }).collect()
    }

    #[test]
    fn a_model_is_offered_as_many_tools_as_it_takes_and_the_largest_helper_gives_way() {
        let own = OwnTools { client: Vec::new(), asks: Asks::Yes };
        let all = || [tools("big", 300), tools("small", 3), tools("middle", 60)].concat();
        let (offer, left_out) = Offer::within(None, all(), &own);
        assert_eq!((offer.specs().len(), left_out), (364, vec![]));
        let (offer, left_out) = Offer::within(Some(128), all(), &own);
        let left = |server: &str, of, count| LeftOut { whose: Whose::Helper(server.into()), of, count };
        assert_eq!(offer.specs().len(), 128);
        assert_eq!(left_out, [left("big", 300, 236)]);
        assert!(offer.resolve(&call("mcp__big__t0", "")).is_ok());
        assert!(offer.resolve(&call("mcp__big__t63", "")).is_ok());
        assert!(offer.resolve(&call("mcp__big__t64", "")).is_err());
        let (offer, left_out) = Offer::within(Some(1), all(), &own);
        assert_eq!((offer.specs().len(), left_out.len()), (1, 3));
    }

    #[test]
    fn the_clients_tools_and_the_question_to_the_user_count_too() {
        let function = |number| json!({"type": "function", "name": format!("c{number}"), "description": "", "inputSchema": {}});
        let client: Vec<Value> = (0..crate::policy::CLIENT_TOOLS).map(function).collect();
        let client = serde_json::from_value(Value::Array(client)).unwrap();
        let own = OwnTools { client, asks: Asks::Yes };
        let (offer, left_out) = Offer::within(Some(128), tools("small", 2), &own);
        assert_eq!(offer.specs().len(), 128);
        let small = LeftOut { whose: Whose::Helper("small".into()), of: 2, count: 2 };
        assert_eq!(left_out, [LeftOut { whose: Whose::Thread, of: 129, count: 1 }, small]);
        assert!(offer.resolve(&call("c127", "")).is_ok());
        assert!(offer.resolve(&call(ASK_THE_USER, "")).is_err());
    }

    #[test]
    fn a_wrong_call_is_explained_to_the_model() {
        let offer = offer();
        let name = offer.specs()[0].name.clone();
        assert!(offer.resolve(&call("mcp__files__write", "{}")).unwrap_err().contains("mcp__files__write"));
        assert!(offer.resolve(&call(&name, "{")).unwrap_err().contains("not JSON"));
        assert!(offer.resolve(&call(&name, "[]")).unwrap_err().contains("object"));
        let Ok(CallTarget::Helper(target)) = offer.resolve(&call(&name, " ")) else { panic!("no call") };
        assert_eq!(target.arguments, json!({}));
    }
}
