//! Tools that no helper has: the client's tools, and the tool by which a model asks the user. Pure.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};
use skein_protocol::approval::{
    ToolRequestUserInputOption, ToolRequestUserInputQuestion, ToolRequestUserInputResponse,
};
use skein_protocol::settings::{DynamicToolNamespaceTool, DynamicToolSpec};
use skein_provider::{ToolSpec, tool_name};

use crate::policy;

/// The peer's name of the tool, which models know.
pub(crate) const ASK_THE_USER: &str = "request_user_input";

/// Tools that no helper has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnTools {
    /// Those of the client, in its order (protocol: `dynamicTools`).
    pub client: Vec<DynamicToolSpec>,
    /// Whether `request_user_input` is among them.
    pub asks: Asks,
}

/// Whether a model may ask the user by a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Asks {
    /// It may.
    Yes,
    /// It may not.
    #[default]
    No,
}

/// The name of a client's tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTool {
    /// The group that the client put it in.
    pub namespace: Option<String>,
    /// Its name in the group.
    pub name: String,
}

struct Brought<'s> {
    namespace: Option<(&'s str, &'s str)>,
    name: &'s str,
    description: &'s str,
    schema: &'s Value,
}

impl OwnTools {
    /// Specifications for the model, each with its target. The client's tools come first, and one named like ours
    /// replaces ours.
    pub(crate) fn offered(&self) -> Vec<(ToolSpec, Own)> {
        let brought: Vec<Brought<'_>> = self.client.iter().flat_map(brought).collect();
        let mut offered: Vec<(ToolSpec, Own)> = brought.iter().map(Brought::offered).collect();
        let taken = offered.iter().any(|(spec, _)| spec.name == ASK_THE_USER);
        match self.asks {
            Asks::Yes if !taken => offered.push((ask_spec(), Own::AskTheUser)),
            Asks::Yes | Asks::No => {}
        }
        offered
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Own {
    Client(ClientTool),
    AskTheUser,
}

impl Brought<'_> {
    fn offered(&self) -> (ToolSpec, Own) {
        let namespace = self.namespace.map(|(name, _)| name);
        let description = match self.namespace {
            Some((_, about)) if !about.is_empty() => format!("{about}\n\n{}", self.description),
            Some(_) | None => self.description.to_owned(),
        };
        let name = tool_name::of_client(namespace, self.name);
        let spec = ToolSpec { name, description, parameters: super::offer::parameters(self.schema) };
        let tool = ClientTool { namespace: namespace.map(str::to_owned), name: self.name.to_owned() };
        (spec, Own::Client(tool))
    }
}

/// The tools of one entry. Models get even deferred tools at once.
fn brought(spec: &DynamicToolSpec) -> Vec<Brought<'_>> {
    match spec {
        DynamicToolSpec::Function { defer_loading: _, description, input_schema, name } => {
            vec![Brought { namespace: None, name, description, schema: input_schema }]
        }
        DynamicToolSpec::Namespace { description: about, name: namespace, tools } => {
            tools.iter().map(|tool| of_namespace((namespace, about), tool)).collect()
        }
    }
}

fn of_namespace<'s>(namespace: (&'s str, &'s str), tool: &'s DynamicToolNamespaceTool) -> Brought<'s> {
    let DynamicToolNamespaceTool::Function { defer_loading: _, description, input_schema, name } = tool;
    Brought { namespace: Some(namespace), name, description, schema: input_schema }
}

/// Checks a client's tools: each needs a unique name that the Responses API takes.
///
/// # Errors
/// The reason, in the peer's words if the peer has some.
pub fn check(specs: &[DynamicToolSpec]) -> Result<(), String> {
    let brought: Vec<Brought<'_>> = specs.iter().flat_map(brought).collect();
    if brought.len() > policy::CLIENT_TOOLS {
        return Err(format!("{} tools are too many; bring at most {}", brought.len(), policy::CLIENT_TOOLS));
    }
    for spec in specs {
        if let DynamicToolSpec::Namespace { name, tools, .. } = spec {
            check_name("namespace", name, policy::CLIENT_NAMESPACE)?;
            if RESERVED.contains(&name.as_str()) {
                return Err(format!(
                    "dynamic tool namespace collides with a reserved Responses API namespace: {name}"
                ));
            }
            if tools.is_empty() {
                return Err(format!("dynamic tool namespace must contain at least one tool: {name}"));
            }
        }
    }
    let mut known = HashSet::new();
    for tool in &brought {
        let namespace = tool.namespace.map(|(name, _)| name);
        check_name("name", tool.name, policy::CLIENT_TOOL_NAME)?;
        if !tool.schema.is_object() {
            return Err(format!("the inputSchema of the tool {} is not a JSON object", tool.name));
        }
        if !known.insert((namespace, tool.name)) {
            let of = namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
            return Err(format!("duplicate dynamic tool name{of}: {}", tool.name));
        }
    }
    Ok(())
}

/// Namespaces of the Responses API itself.
const RESERVED: &[&str] = &[
    "api_tool",
    "browser",
    "computer",
    "container",
    "file_search",
    "functions",
    "image_gen",
    "multi_tool_use",
    "python",
    "terminal",
    "tool_search",
    "web",
];

/// Checks a name by the rules of the Responses API, and refuses prefixes of helpers' tools.
fn check_name(what: &str, name: &str, most: usize) -> Result<(), String> {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let wrong = if name.is_empty() {
        return Err(format!("dynamic tool {what} must not be empty"));
    } else if name.trim() != name {
        "has leading/trailing whitespace".to_owned()
    } else if !name.chars().all(is_taken) {
        "must match ^[a-zA-Z0-9_-]+$ to match Responses API".to_owned()
    } else if name.len() > most {
        format!("must be at most {most} characters to match Responses API")
    } else if name == "mcp" || name.starts_with("mcp__") {
        "is reserved".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("dynamic tool {what} {wrong}: {}", name.escape_default()))
}

fn ask_spec() -> ToolSpec {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let option = json!({
        "type": "object",
        "properties": { "label": text("A few words"), "description": text("What choosing it means") },
        "required": ["label", "description"],
    });
    let question = json!({
        "type": "object",
        "properties": {
            "id": text("A name for the answer, in snake_case"),
            "header": text("A word or two above the question"),
            "question": text("What the user is asked"),
            "options": {
                "type": "array", "items": option, "minItems": 1,
                "description": "What to choose from; the user can also answer in other words",
            },
        },
        "required": ["id", "header", "question", "options"],
    });
    let most = policy::QUESTIONS_AT_ONCE;
    let parameters = json!({
        "type": "object",
        "properties": { "questions": { "type": "array", "items": question, "minItems": 1, "maxItems": most } },
        "required": ["questions"],
    });
    let description = format!(
        "Asks the user one to {most} short questions with answers to choose from, and waits for the answers."
    );
    ToolSpec { name: ASK_THE_USER.to_owned(), description, parameters }
}

/// The arguments of the tool by which a model asks the user.
#[derive(Deserialize)]
struct AskArguments {
    questions: Vec<WishedQuestion>,
}

#[derive(Deserialize)]
struct WishedQuestion {
    id: String,
    #[serde(default)]
    header: String,
    question: String,
    #[serde(default)]
    options: Vec<ToolRequestUserInputOption>,
}

/// Reads the questions of a call. The user may always answer in other words.
///
/// # Errors
/// The reason, for the model.
pub(crate) fn questions(arguments: &Value) -> Result<Vec<ToolRequestUserInputQuestion>, String> {
    let wish: AskArguments = AskArguments::deserialize(arguments)
        .map_err(|error| format!("the questions cannot be read: {error}"))?;
    let (count, most) = (wish.questions.len(), policy::QUESTIONS_AT_ONCE);
    if count == 0 || count > most {
        return Err(format!("ask 1 to {most} questions at once, not {count}"));
    }
    let mut ids = HashSet::new();
    if !wish.questions.iter().all(|question| !question.id.is_empty() && ids.insert(question.id.as_str())) {
        return Err("each question needs an id of its own".to_owned());
    }
    Ok(wish.questions.into_iter().map(WishedQuestion::asked).collect())
}

impl WishedQuestion {
    fn asked(self) -> ToolRequestUserInputQuestion {
        let options = Some(self.options).filter(|options| !options.is_empty());
        ToolRequestUserInputQuestion {
            options,
            ..ToolRequestUserInputQuestion::open(self.id, self.header, self.question)
        }
    }
}

/// The user's answers for the model, by the ids of its questions.
#[must_use]
pub(crate) fn answers(response: &ToolRequestUserInputResponse) -> String {
    json!({ "answers": response.answers }).to_string()
}

/// The user's words, a line for each answer.
pub fn words(response: &ToolRequestUserInputResponse) -> String {
    let by_question: BTreeMap<_, _> = response.answers.iter().collect();
    let texts: Vec<&str> =
        by_question.values().flat_map(|answer| answer.answers.iter().map(String::as_str)).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(specs: Value) -> Vec<DynamicToolSpec> {
        serde_json::from_value(specs).unwrap()
    }

    fn function(name: &str) -> Value {
        json!({"type": "function", "name": name, "description": "does it", "inputSchema": {"type": "object"}})
    }

    fn names(tools: &OwnTools) -> Vec<String> {
        tools.offered().into_iter().map(|(spec, _)| spec.name).collect()
    }

    #[test]
    fn functions_and_namespaces_are_offered_by_names_that_models_take() {
        let client = specs(json!([
            function("look_up_"),
            {"type": "namespace", "name": "app", "description": "The app", "tools": [function("look")]},
        ]));
        check(&client).unwrap();
        let offered = OwnTools { client, asks: Asks::No }.offered();
        let tool = |namespace: Option<&str>, name: &str| {
            Own::Client(ClientTool { namespace: namespace.map(Into::into), name: name.into() })
        };
        assert!(offered[0].0.name.starts_with("look_up__"));
        assert_eq!(offered[0].1, tool(None, "look_up_"));
        assert_eq!((offered[1].0.name.as_str(), &offered[1].1), ("app__look", &tool(Some("app"), "look")));
        assert_eq!(offered[1].0.description, "The app\n\ndoes it");
        assert_eq!(offered[1].0.parameters, json!({"type": "object", "properties": {}}));
    }

    #[test]
    fn a_model_may_ask_where_it_is_let_and_the_clients_own_tool_goes_first() {
        let none = OwnTools::default();
        assert_eq!(names(&none), [""; 0]);
        let asks = OwnTools { asks: Asks::Yes, ..none };
        assert_eq!(names(&asks), [ASK_THE_USER]);
        let both = OwnTools { client: specs(json!([function(ASK_THE_USER)])), asks: Asks::Yes };
        assert!(matches!(&both.offered()[..], [(_, Own::Client(_))]));
    }

    #[test]
    fn tools_with_the_same_name_are_refused() {
        let namespace =
            |tools: Value| json!({"type": "namespace", "name": "app", "description": "", "tools": tools});
        let many: Vec<Value> = (0..=policy::CLIENT_TOOLS).map(|n| function(&format!("t{n}"))).collect();
        for (wrong, says) in [
            (json!([function("a"), function("a")]), "duplicate dynamic tool name: a"),
            (
                json!([namespace(json!([function("a"), function("a")]))]),
                "duplicate dynamic tool name in namespace app: a",
            ),
            (
                json!([{"type": "function", "name": "a", "description": "", "inputSchema": 5}]),
                "not a JSON object",
            ),
            (json!(many), "too many"),
        ] {
            let error = check(&specs(wrong)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        check(&specs(json!([function("a"), namespace(json!([function("a")]))]))).unwrap();
    }

    #[test]
    fn a_name_that_the_responses_api_does_not_take_is_refused_in_the_peers_words() {
        let of = |name: &str, tools: Value| json!({"type": "namespace", "name": name, "description": "", "tools": tools});
        let one = || json!([function("a")]);
        let long = |length: usize| "x".repeat(length);
        let taken = json!([function(&long(128)), function("a-b_C9"), of(&long(64), one()), of("app", one())]);
        check(&specs(taken)).unwrap();
        for (wrong, says) in [
            (function("a b"), "dynamic tool name must match ^[a-zA-Z0-9_-]+$ to match Responses API: a b"),
            (
                function("\u{e9}"),
                "dynamic tool name must match ^[a-zA-Z0-9_-]+$ to match Responses API: \\u{e9}",
            ),
            (function(" a"), "dynamic tool name has leading/trailing whitespace:  a"),
            (function(""), "dynamic tool name must not be empty"),
            (function("mcp"), "dynamic tool name is reserved: mcp"),
            (function("mcp__x"), "dynamic tool name is reserved: mcp__x"),
            (
                function(&long(129)),
                &format!(
                    "dynamic tool name must be at most 128 characters to match Responses API: {}",
                    long(129)
                ),
            ),
            (of("", one()), "dynamic tool namespace must not be empty"),
            (
                of("n s", one()),
                "dynamic tool namespace must match ^[a-zA-Z0-9_-]+$ to match Responses API: n s",
            ),
            (of("app", json!([])), "dynamic tool namespace must contain at least one tool: app"),
            (
                of("web", one()),
                "dynamic tool namespace collides with a reserved Responses API namespace: web",
            ),
        ] {
            assert_eq!(check(&specs(json!([wrong]))).unwrap_err(), says);
        }
    }

    #[test]
    fn a_models_questions_are_put_as_they_are_and_wrong_ones_explained() {
        let one = |id: &str| {
            json!({"id": id, "header": "Pick", "question": "Which?",
            "options": [{"label": "A", "description": "first"}]})
        };
        let asked = questions(&json!({"questions": [one("q1"), {"id": "q2", "question": "Why?"}]})).unwrap();
        assert_eq!((asked[0].header.as_str(), asked[0].is_other), ("Pick", true));
        assert_eq!(asked[0].options.as_ref().unwrap()[0].label, "A");
        assert_eq!(asked[1].options, None);
        for (wrong, says) in [
            (json!({"questions": []}), "1 to 3"),
            (json!({"questions": [one("a"), one("b"), one("c"), one("d")]}), "not 4"),
            (json!({"questions": [one("a"), one("a")]}), "id of its own"),
            (json!({"questions": "all"}), "cannot be read"),
            (json!({}), "cannot be read"),
        ] {
            let error = questions(&wrong).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
