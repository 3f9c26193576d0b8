//! A question of the server at the terminal, line by line. Pure: the caller prints prompts and reads lines.

use serde_json::{Map, Value, json};
use skein_protocol::ids::RequestId;

use super::super::out::one_line;

/// A question to the user.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct UserQuestion {
    id: RequestId,
    kind: DialogKind,
}

#[derive(Debug, Clone, PartialEq)]
enum DialogKind {
    /// May the model call this tool?
    Call { message: String, arguments: Value, lasting: bool },
    /// A form of a helper, or of the server about a budget (`spends`).
    Form { message: String, fields: Vec<FormField>, spends: bool },
    /// A page that the user should visit.
    Visit { message: String, url: String },
    /// Questions of a model.
    Model { fields: Vec<FormField> },
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq)]
struct FormField {
    name: String,
    title: String,
    kind: FieldKind,
    required: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum FieldKind {
    Text,
    Number,
    Integer,
    Flag,
    /// One of these values, or other words.
    Choice {
        values: Vec<String>,
        free: bool,
    },
    /// Several of these values.
    Choices(Vec<String>),
}

/// An answer to the server.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DialogReply {
    /// A result.
    Result(RequestId, Value),
    /// An error with this text.
    Refusal(RequestId, &'static str),
}

/// The effect of a line.
#[derive(Debug, PartialEq)]
pub(super) enum DialogStep {
    /// The prompt comes next, again or for the next field.
    Again,
    /// The answer is complete.
    Done(DialogReply),
}

impl UserQuestion {
    /// A question of a helper, or about a tool call; `None` for a kind of another version.
    pub(in crate::cli) fn elicitation(id: &RequestId, params: &str) -> Option<Self> {
        let params: Value = serde_json::from_str(params).ok()?;
        let message = params["message"].as_str()?.to_owned();
        let meta = &params["_meta"];
        let kind = if meta.get("codex_approval_kind").is_some() {
            let arguments = meta["tool_params"].clone();
            DialogKind::Call { message, arguments, lasting: !meta["persist"].is_null() }
        } else if let Some(url) = params["url"].as_str() {
            DialogKind::Visit { message, url: url.to_owned() }
        } else {
            let server = params["serverName"].as_str().unwrap_or_default();
            DialogKind::Form {
                message: format!("{server}: {message}"),
                fields: fields(&params["requestedSchema"]),
                spends: meta["skein"].get("budget").is_some(),
            }
        };
        Some(Self { id: id.clone(), kind })
    }

    /// Questions of a model; `None` for a kind of another version.
    pub(in crate::cli) fn of_model(id: &RequestId, params: &str) -> Option<Self> {
        let params: Value = serde_json::from_str(params).ok()?;
        let field = |question: &Value| {
            let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
            let values: Vec<String> =
                options.iter().filter_map(|option| option["label"].as_str()).map(str::to_owned).collect();
            let free = question["isOther"].as_bool().unwrap_or_default() || values.is_empty();
            let kind = if values.is_empty() { FieldKind::Text } else { FieldKind::Choice { values, free } };
            let name = question["id"].as_str()?.to_owned();
            let title = question["question"].as_str()?.to_owned();
            Some(FormField { name, title, kind, required: true })
        };
        let fields = params["questions"].as_array()?.iter().filter_map(field).collect();
        Some(Self { id: id.clone(), kind: DialogKind::Model { fields } })
    }

    /// The text of the question.
    pub(in crate::cli) fn text(&self) -> String {
        match &self.kind {
            DialogKind::Call { message, .. } | DialogKind::Form { message, .. } => {
                one_line(message).into_owned()
            }
            DialogKind::Visit { message, url } => format!("{}\n  {}", one_line(message), one_line(url)),
            DialogKind::Model { fields } => {
                let lines: Vec<_> = fields.iter().map(|field| one_line(&field.title)).collect();
                lines.join("\n")
            }
        }
    }

    /// The answer of `--approve all`: calls are made, nobody fills in forms, and no limit is raised.
    pub(super) fn approved(self) -> DialogReply {
        match &self.kind {
            DialogKind::Call { .. } => accept(self.id, json!({})),
            DialogKind::Form { fields, spends: false, .. } if fields.iter().all(|field| !field.required) => {
                accept(self.id, json!({}))
            }
            DialogKind::Form { .. } | DialogKind::Visit { .. } | DialogKind::Model { .. } => self.refused(),
        }
    }

    /// The answer of `--approve never`.
    pub(super) fn refused(self) -> DialogReply {
        match self.kind {
            DialogKind::Model { .. } => DialogReply::Refusal(self.id, "the user answers no questions"),
            DialogKind::Call { .. } | DialogKind::Form { .. } | DialogKind::Visit { .. } => {
                action(self.id, "decline")
            }
        }
    }

    /// The answer where nobody can be asked.
    pub(super) fn cancelled(self) -> DialogReply {
        match self.kind {
            DialogKind::Model { .. } => DialogReply::Refusal(self.id, "nobody is there to answer"),
            DialogKind::Call { .. } | DialogKind::Form { .. } | DialogKind::Visit { .. } => {
                action(self.id, "cancel")
            }
        }
    }
}

fn accept(id: RequestId, content: Value) -> DialogReply {
    DialogReply::Result(id, json!({ "action": "accept", "content": content }))
}

fn action(id: RequestId, action: &str) -> DialogReply {
    DialogReply::Result(id, json!({ "action": action }))
}

/// The fields of a schema for a form.
fn fields(schema: &Value) -> Vec<FormField> {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, field)| {
            let described = field["description"].as_str().or(field["title"].as_str()).unwrap_or(name);
            FormField {
                name: name.clone(),
                title: described.to_owned(),
                kind: FieldKind::of(field),
                required: required.iter().any(|known| known == name),
            }
        })
        .collect()
}

/// The values of a choice.
fn choices(field: &Value) -> Vec<String> {
    let named =
        field["oneOf"].as_array().or(field["anyOf"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let named = named.iter().map(|option| &option["const"]);
    let plain = field["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    plain.iter().chain(named).filter_map(Value::as_str).map(str::to_owned).collect()
}

impl FieldKind {
    fn of(field: &Value) -> Self {
        let values = choices(field);
        match field["type"].as_str() {
            Some("array") => Self::Choices(choices(&field["items"])),
            _ if !values.is_empty() => Self::Choice { values, free: false },
            Some("number") => Self::Number,
            Some("integer") => Self::Integer,
            Some("boolean") => Self::Flag,
            Some(_) | None => Self::Text,
        }
    }

    /// The end of a prompt.
    fn hint(&self) -> String {
        match self {
            Self::Text => String::new(),
            Self::Number => " (a number)".to_owned(),
            Self::Integer => " (a whole number)".to_owned(),
            Self::Flag => " (y or n)".to_owned(),
            Self::Choice { values, free } => {
                let free = if *free { ", or other words" } else { "" };
                format!(" ({}{free})", numbered(values))
            }
            Self::Choices(values) => format!(" ({}; several with commas)", numbered(values)),
        }
    }

    /// The value of a line; `None` if it does not fit.
    fn value(&self, line: &str) -> Option<Value> {
        match self {
            Self::Text => Some(json!(line)),
            Self::Number => line.parse::<f64>().ok().map(|number| json!(number)),
            Self::Integer => line.parse::<i64>().ok().map(|number| json!(number)),
            Self::Flag => match line.to_lowercase().as_str() {
                "y" | "yes" | "true" => Some(json!(true)),
                "n" | "no" | "false" => Some(json!(false)),
                _ => None,
            },
            Self::Choice { values, free } => {
                let chosen = chosen(values, line);
                chosen.or_else(|| free.then(|| line.to_owned())).map(Value::String)
            }
            Self::Choices(values) => {
                let words = line.split(',').map(str::trim).filter(|word| !word.is_empty());
                let chosen: Option<Vec<String>> = words.map(|word| chosen(values, word)).collect();
                chosen.map(|chosen| json!(chosen))
            }
        }
    }
}

fn numbered(values: &[String]) -> String {
    values.iter().enumerate().map(|(at, value)| format!("{} {value}", at + 1)).collect::<Vec<_>>().join(", ")
}

/// A value by its number, or by its own words.
fn chosen(values: &[String], line: &str) -> Option<String> {
    let by_number = line.parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?));
    by_number.or_else(|| values.iter().find(|value| *value == line)).cloned()
}

/// An open question, and the answers so far.
#[derive(Debug)]
pub(super) struct Dialog {
    question: UserQuestion,
    content: Map<String, Value>,
    /// The field whose answer is next.
    at: usize,
}

impl Dialog {
    pub(super) fn new(question: UserQuestion) -> Self {
        Self { question, content: Map::new(), at: 0 }
    }

    pub(super) fn id(&self) -> &RequestId {
        &self.question.id
    }

    pub(super) fn into_question(self) -> UserQuestion {
        self.question
    }

    /// The lines before the user's line.
    pub(super) fn prompt(&self) -> String {
        match &self.question.kind {
            DialogKind::Call { message, arguments, lasting } => {
                let arguments = if arguments.is_null() { String::new() } else { format!("\n  {arguments}") };
                let session = if *lasting { ", s for this session" } else { "" };
                format!(
                    "{}{}\n[y once{session}, n no, c stop the turn] ",
                    one_line(message),
                    one_line_each(&arguments)
                )
            }
            DialogKind::Visit { message, url } => {
                format!("{}\n  {}\n[y done, n no, c stop the turn] ", one_line(message), one_line(url))
            }
            DialogKind::Form { message, fields, .. } => {
                let head = if self.at == 0 { format!("{}\n", one_line(message)) } else { String::new() };
                match fields.get(self.at) {
                    Some(field) => format!("{head}{}", field.prompt()),
                    None => format!("{head}[y send, n no, c stop the turn] "),
                }
            }
            DialogKind::Model { fields } => fields.get(self.at).map(FormField::prompt).unwrap_or_default(),
        }
    }

    /// Takes a line of the user.
    pub(super) fn take(&mut self, line: &str) -> DialogStep {
        let line = line.trim();
        match &self.question.kind {
            DialogKind::Call { lasting, .. } => {
                let lasting = *lasting;
                self.decide(line, lasting)
            }
            DialogKind::Visit { .. } => self.decide(line, false),
            DialogKind::Form { fields, .. } => match fields.get(self.at).cloned() {
                Some(field) => {
                    self.fill(&field, line);
                    DialogStep::Again
                }
                None => self.decide(line, false),
            },
            DialogKind::Model { fields } => {
                let count = fields.len();
                if let Some(field) = fields.get(self.at).cloned() {
                    self.fill(&field, line);
                }
                if self.at < count { DialogStep::Again } else { DialogStep::Done(self.answers()) }
            }
        }
    }

    /// Keeps the answer to a field, if it fits. An empty line leaves out a field that may be missing.
    fn fill(&mut self, field: &FormField, line: &str) {
        if line.is_empty() && !field.required {
            self.at += 1;
        } else if let Some(value) = field.kind.value(line).filter(|_| !line.is_empty()) {
            self.content.insert(field.name.clone(), value);
            self.at += 1;
        }
    }

    /// An empty line decides nothing: nobody agrees by an Enter that was meant for something else.
    fn decide(&self, line: &str, lasting: bool) -> DialogStep {
        let id = self.question.id.clone();
        DialogStep::Done(match line.to_lowercase().as_str() {
            "y" | "yes" => accept(id, Value::Object(self.content.clone())),
            "s" | "session" if lasting => DialogReply::Result(
                id,
                json!({ "action": "accept", "content": {}, "_meta": { "persist": "session" } }),
            ),
            "n" | "no" => action(id, "decline"),
            "c" | "cancel" => action(id, "cancel"),
            _ => return DialogStep::Again,
        })
    }

    fn answers(&self) -> DialogReply {
        let answer = |(name, value): (&String, &Value)| (name.clone(), json!({ "answers": [value] }));
        let answers: Map<String, Value> = self.content.iter().map(answer).collect();
        DialogReply::Result(self.question.id.clone(), json!({ "answers": answers }))
    }
}

impl FormField {
    fn prompt(&self) -> String {
        let optional = if self.required { "" } else { " [Enter leaves it out]" };
        format!("{}{}{optional}: ", one_line(&self.title), one_line(&self.kind.hint()))
    }
}

/// Escapes every line.
fn one_line_each(text: &str) -> String {
    text.split('\n').map(|line| one_line(line).into_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RequestId {
        RequestId::Integer(7)
    }

    fn call() -> Dialog {
        let params = json!({ "message": "May files run remove?\u{1b}]0;x", "serverName": "files", "_meta": {
            "codex_approval_kind": "mcp_tool_call", "persist": ["session"], "tool_params": { "path": "\u{202e}a" } } });
        Dialog::new(UserQuestion::elicitation(&id(), &params.to_string()).unwrap())
    }

    #[test]
    fn a_call_is_shown_whole_and_needs_a_word() {
        let mut dialog = call();
        let prompt = dialog.prompt();
        assert!(prompt.contains("\\u001b]0;x") && prompt.contains("\\u202ea"), "{prompt}");
        for line in ["", "what", " "] {
            assert_eq!(dialog.take(line), DialogStep::Again);
        }
        let replied = |line: &str| {
            let DialogStep::Done(DialogReply::Result(_, result)) = call().take(line) else {
                panic!("{line}")
            };
            result
        };
        assert_eq!(replied(" Y ")["action"], "accept");
        assert_eq!(replied("s")["_meta"]["persist"], "session");
        assert_eq!((&replied("n")["action"], &replied("c")["action"]), (&json!("decline"), &json!("cancel")));
    }

    #[test]
    fn a_form_is_filled_in_field_by_field() {
        let params = json!({ "message": "Order", "serverName": "shop", "requestedSchema": { "properties": {
            "a": { "type": "integer", "title": "How many" }, "b": { "type": "string", "enum": ["red", "blue"] },
            "c": { "type": "boolean" } }, "required": ["a", "b"] } });
        let mut dialog = Dialog::new(UserQuestion::elicitation(&id(), &params.to_string()).unwrap());
        assert_eq!(dialog.prompt(), "shop: Order\nHow many (a whole number): ");
        for line in ["", "x", "3", "green", "2", ""] {
            assert_eq!(dialog.take(line), DialogStep::Again);
        }
        let done = dialog.take("y");
        let wanted = json!({ "action": "accept", "content": { "a": 3, "b": "blue" } });
        assert_eq!(done, DialogStep::Done(DialogReply::Result(id(), wanted)));
    }

    #[test]
    fn questions_of_a_model_take_a_choice_or_other_words() {
        let params = json!({ "questions": [
            { "id": "one", "question": "Which?", "header": "h", "isOther": false, "options": [{ "label": "this" }] },
            { "id": "two", "question": "Why?", "header": "h" } ] });
        let mut dialog = Dialog::new(UserQuestion::of_model(&id(), &params.to_string()).unwrap());
        assert_eq!(dialog.take("that"), DialogStep::Again);
        assert_eq!(dialog.take("1"), DialogStep::Again);
        let wanted = json!({ "answers": { "one": { "answers": ["this"] }, "two": { "answers": ["so"] } } });
        assert_eq!(dialog.take("so"), DialogStep::Done(DialogReply::Result(id(), wanted)));
    }

    #[test]
    fn without_a_user_calls_are_decided_and_forms_are_not_made_up() {
        let question = call().into_question();
        assert_eq!(question.clone().approved(), accept(id(), json!({})));
        assert_eq!(question.clone().refused(), action(id(), "decline"));
        assert_eq!(question.cancelled(), action(id(), "cancel"));
        let params =
            json!({ "message": "m", "requestedSchema": { "properties": { "a": {} }, "required": ["a"] } });
        let form = UserQuestion::elicitation(&id(), &params.to_string()).unwrap();
        assert_eq!(form.approved(), action(id(), "decline"));
        let mut params = json!({ "message": "m", "requestedSchema": { "properties": {} } });
        let confirmed = |params: &serde_json::Value| {
            UserQuestion::elicitation(&id(), &params.to_string()).unwrap().approved()
        };
        assert_eq!(confirmed(&params), accept(id(), json!({})));
        params["_meta"] = json!({ "skein": { "budget": { "scope": "turn" } } });
        assert_eq!(confirmed(&params), action(id(), "decline"), "a limit that nobody raises");
    }
}
