//! Groups a conversation as all interfaces need it: the model's parts stay together, with all results of its calls
//! right behind. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::{AssistantMessage, Content, Entry, Reasoning, ToolCall, ToolResult};

/// A step of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptStep<'a> {
    /// The user's content; never empty, and never twice in a row.
    User(Vec<Cow<'a, Content>>),
    /// A message of the developer.
    Developer(&'a str),
    /// The model's parts between two results or messages.
    Model(Vec<ModelPart<'a>>),
    /// The results of these calls, in their order.
    Results(Vec<CallOutcome<'a>>),
}

/// A part of a model's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelPart<'a> {
    /// A message; never empty.
    Text(&'a AssistantMessage),
    /// A thought, never the last part.
    Thought(&'a Reasoning),
    /// A tool call.
    Call(&'a ToolCall),
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallOutcome<'a> {
    /// The call has a result.
    Result(&'a ToolResult),
    /// The call with this id was interrupted. Interfaces refuse calls without a result.
    Nothing(&'a str),
}

/// Stands in for a lost result.
pub(crate) const NOTHING: &str = "The call was cut off; what came of it is not known.";

/// Groups a conversation. Results without their call are left out.
pub fn steps(history: &[Entry]) -> Vec<PromptStep<'_>> {
    let mut steps = Vec::new();
    let mut parts = Vec::new();
    let mut taken = vec![false; history.len()];
    for (at, entry) in history.iter().enumerate() {
        match entry {
            Entry::Assistant(message) if message.text.is_empty() => {}
            Entry::Assistant(message) => parts.push(ModelPart::Text(message)),
            Entry::Reasoning(thought) => parts.push(ModelPart::Thought(thought)),
            Entry::Call(call) => parts.push(ModelPart::Call(call)),
            Entry::User(content) if content.is_empty() => {}
            Entry::User(content) => {
                close(&mut parts, &mut steps, history, at, &mut taken);
                push(&mut steps, PromptStep::User(content.iter().map(Cow::Borrowed).collect()));
            }
            Entry::Developer(text) => {
                close(&mut parts, &mut steps, history, at, &mut taken);
                steps.push(PromptStep::Developer(text));
            }
            Entry::Result(_) => close(&mut parts, &mut steps, history, at, &mut taken),
        }
    }
    close(&mut parts, &mut steps, history, history.len(), &mut taken);
    steps
}

fn push<'a>(steps: &mut Vec<PromptStep<'a>>, step: PromptStep<'a>) {
    match (steps.last_mut(), step) {
        (Some(PromptStep::User(parts)), PromptStep::User(more)) => parts.extend(more),
        (_, step) => steps.push(step),
    }
}

/// Splits off the instructions and lets user and model alternate, beginning with the user. Later developer messages
/// become marked user messages.
pub(crate) fn in_turns<'a>(
    instructions: Option<&'a str>,
    steps: Vec<PromptStep<'a>>,
) -> (Vec<&'a str>, Vec<PromptStep<'a>>) {
    let own = |text: String| PromptStep::User(vec![Cow::Owned(Content::Text(text))]);
    let mut first: Vec<&str> = instructions.into_iter().collect();
    let mut turns = Vec::new();
    for step in steps {
        match step {
            PromptStep::Developer(text) if turns.is_empty() => first.push(text),
            PromptStep::Developer(text) => {
                push(&mut turns, own(format!("<developer>\n{text}\n</developer>")))
            }
            PromptStep::User(mut parts) => {
                parts.retain(|content| content.as_text().is_none_or(|text| !text.trim().is_empty()));
                if !parts.is_empty() {
                    push(&mut turns, PromptStep::User(parts));
                }
            }
            step @ (PromptStep::Model(_) | PromptStep::Results(_)) => turns.push(step),
        }
    }
    // Older entries may have been left out.
    if !matches!(turns.first(), Some(PromptStep::User(_))) {
        turns.insert(0, own("(The conversation goes on.)".to_owned()));
    }
    first.retain(|text| !text.is_empty());
    (first, turns)
}

/// Adds the images of some results behind them, as if the user had sent them.
pub(crate) fn with_images_behind<'a>(
    steps: Vec<PromptStep<'a>>,
    which: impl Fn(&CallOutcome<'a>) -> bool,
) -> Vec<PromptStep<'a>> {
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        let mut shown = Vec::new();
        if let PromptStep::Results(results) = &step {
            for results in results.iter().filter(|results| results.has_image() && which(results)) {
                shown.push(Cow::Owned(Content::Text(format!("Pictures of the call {}:", results.id()))));
                let images = results.content().iter().filter(|content| content.as_text().is_none());
                shown.extend(images.map(Cow::Borrowed));
            }
        }
        push(&mut all, step);
        if !shown.is_empty() {
            push(&mut all, PromptStep::User(shown));
        }
    }
    all
}

/// Ends the model's parts; adds the results found from `at` on.
fn close<'a>(
    parts: &mut Vec<ModelPart<'a>>,
    steps: &mut Vec<PromptStep<'a>>,
    history: &'a [Entry],
    at: usize,
    taken: &mut [bool],
) {
    while matches!(parts.last(), Some(ModelPart::Thought(_))) {
        parts.pop();
    }
    let parts = std::mem::take(parts);
    if parts.is_empty() {
        return;
    }
    let calls: Vec<&ToolCall> = parts
        .iter()
        .filter_map(|part| if let ModelPart::Call(call) = part { Some(*call) } else { None })
        .collect();
    steps.push(PromptStep::Model(parts));
    let results = calls.into_iter().map(|call| {
        let found = history.iter().enumerate().skip(at).find_map(|(place, entry)| {
            let Entry::Result(result) = entry else { return None };
            (result.id == call.id && !taken[place]).then_some((place, result))
        });
        found.map_or(CallOutcome::Nothing(&call.id), |(place, result)| {
            taken[place] = true;
            CallOutcome::Result(result)
        })
    });
    let results: Vec<CallOutcome<'_>> = results.collect();
    if !results.is_empty() {
        steps.push(PromptStep::Results(results));
    }
}

impl<'a> CallOutcome<'a> {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Result(result) => &result.id,
            Self::Nothing(id) => id,
        }
    }

    pub(crate) fn failed(&self) -> bool {
        match self {
            Self::Result(result) => result.failed,
            Self::Nothing(_) => true,
        }
    }

    /// The texts, one a line, with a note on failure for interfaces without a flag.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Result(result) if result.failed => format!("The call failed: {}", result.texts()),
            Self::Result(result) => result.texts(),
            Self::Nothing(_) => NOTHING.to_owned(),
        }
    }

    pub(crate) fn content(&self) -> &'a [Content] {
        match self {
            Self::Result(result) => &result.content,
            Self::Nothing(_) => &[],
        }
    }

    pub(crate) fn has_image(&self) -> bool {
        self.content().iter().any(|content| matches!(content, Content::Image(_)))
    }
}

/// Adds the members that only the provider knows.
pub(crate) fn with_more(mut written: Value, call: &ToolCall) -> Value {
    if let Some(written) = written.as_object_mut() {
        for (key, value) in &call.more {
            written.entry(key.as_str()).or_insert_with(|| value.clone());
        }
    }
    written
}

/// The arguments as an object. Text that is no object is wrapped in one.
pub(crate) fn arguments(call: &ToolCall) -> Map<String, Value> {
    object(call).unwrap_or_else(|| match call.arguments.trim() {
        "" => Map::new(),
        _ => Map::from_iter([("arguments".to_owned(), json!(call.arguments))]),
    })
}

/// The arguments as JSON; unchanged if they are an object, for the provider's cache.
pub(crate) fn arguments_text(call: &ToolCall) -> Cow<'_, str> {
    match object(call) {
        Some(_) => Cow::Borrowed(&call.arguments),
        None => Cow::Owned(Value::Object(arguments(call)).to_string()),
    }
}

fn object(call: &ToolCall) -> Option<Map<String, Value>> {
    serde_json::from_str(&call.arguments).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Callee;

    fn call(id: &str) -> Entry {
        let callee = Callee::Offered("tool".to_owned());
        Entry::Call(ToolCall::new(id, callee, ""))
    }

    fn result(id: &str) -> Entry {
        Entry::Result(ToolResult::text(id, format!("of {id}"), false))
    }

    fn shape(history: &[Entry]) -> Vec<String> {
        let part = |part: &ModelPart<'_>| match part {
            ModelPart::Text(message) => message.text.clone(),
            ModelPart::Thought(_) => "thought".to_owned(),
            ModelPart::Call(call) => format!("call {}", call.id),
        };
        let shown = steps(history).into_iter().map(|step| match step {
            PromptStep::User(_) => "user".to_owned(),
            PromptStep::Developer(text) => text.to_owned(),
            PromptStep::Model(parts) => parts.iter().map(part).collect::<Vec<_>>().join("+"),
            PromptStep::Results(results) => {
                results.iter().map(CallOutcome::text).collect::<Vec<_>>().join("+")
            }
        });
        shown.collect()
    }

    #[test]
    fn results_stand_behind_their_calls_wherever_they_were() {
        let user = || Entry::User(vec![Content::Text("hello".to_owned())]);
        let says = |text: &str| Entry::Assistant(text.into());
        let together = [user(), says("x"), call("a"), call("b"), result("b"), user(), result("a"), says("y")];
        assert_eq!(shape(&together), ["user", "x+call a+call b", "of a+of b", "user", "y"]);
        let apart = [call("a"), result("a"), call("b"), result("b")];
        assert_eq!(shape(&apart), ["call a", "of a", "call b", "of b"]);
        let again = [call("a"), result("a"), call("a"), result("a")];
        assert_eq!(shape(&again), ["call a", "of a", "call a", "of a"]);
        assert_eq!(shape(&[call("a"), user()]), ["call a", NOTHING, "user"]);
        assert_eq!(shape(&[user(), result("of nobody"), user()]), ["user"], "in a row");
        assert_eq!(shape(&[says("x"), Entry::User(vec![]), says("y")]), ["x+y"], "nothing was said between");
    }

    #[test]
    fn a_thought_is_kept_with_what_follows_it() {
        let thought = || Entry::Reasoning(Reasoning::default());
        let says = || Entry::Assistant("x".into());
        assert_eq!(shape(&[thought(), says(), thought()]), ["thought+x"]);
        assert_eq!(shape(&[thought(), Entry::Developer("d".to_owned())]), ["d"]);
        assert_eq!(shape(&[Entry::Assistant("".into())]), [""; 0]);
    }
}
