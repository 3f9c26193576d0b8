//! A conversation as all interfaces want it: what a model said in one go is together, and what came of its calls stands right
//! behind, all of it. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::{AssistantMessage, Content, Entry, Reasoning, ToolCall, ToolResult};

/// A step of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<'a> {
    /// The user said this. None follows another, and none is of nothing.
    User(Vec<Cow<'a, Content>>),
    /// Who runs the conversation said this.
    Developer(&'a str),
    /// The model said this in one go.
    Model(Vec<Part<'a>>),
    /// What came of its calls, in their order.
    Results(Vec<Came<'a>>),
}

/// A piece of what a model said.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<'a> {
    /// A message; never empty.
    Text(&'a AssistantMessage),
    /// A thought. Something follows it.
    Thought(&'a Reasoning),
    /// A call.
    Call(&'a ToolCall),
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Came<'a> {
    /// This.
    Result(&'a ToolResult),
    /// The conversation does not say: the call of this id was cut off. Interfaces take no call without a result.
    Nothing(&'a str),
}

/// What a model reads of a call whose result is lost.
pub(crate) const NOTHING: &str = "The call was cut off; what came of it is not known.";

/// The steps of a conversation. Results of calls that are not in it are left out.
pub fn steps(history: &[Entry]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut said = Vec::new();
    let mut taken = vec![false; history.len()];
    for (at, entry) in history.iter().enumerate() {
        match entry {
            Entry::Assistant(message) if message.text.is_empty() => {}
            Entry::Assistant(message) => said.push(Part::Text(message)),
            Entry::Reasoning(thought) => said.push(Part::Thought(thought)),
            Entry::Call(call) => said.push(Part::Call(call)),
            Entry::User(content) if content.is_empty() => {}
            Entry::User(content) => {
                close(&mut said, &mut steps, history, at, &mut taken);
                push(&mut steps, Step::User(content.iter().map(Cow::Borrowed).collect()));
            }
            Entry::Developer(text) => {
                close(&mut said, &mut steps, history, at, &mut taken);
                steps.push(Step::Developer(text));
            }
            Entry::Result(_) => close(&mut said, &mut steps, history, at, &mut taken),
        }
    }
    close(&mut said, &mut steps, history, history.len(), &mut taken);
    steps
}

/// Adds a step to its end.
fn push<'a>(steps: &mut Vec<Step<'a>>, step: Step<'a>) {
    match (steps.last_mut(), step) {
        (Some(Step::User(said)), Step::User(more)) => said.extend(more),
        (_, step) => steps.push(step),
    }
}

/// What holds for the whole conversation, and the steps where only the user and the model speak, in turns; the user begins. What
/// who runs the conversation says in between is said by the user, and marked.
pub(crate) fn in_turns<'a>(
    instructions: Option<&'a str>,
    steps: Vec<Step<'a>>,
) -> (Vec<&'a str>, Vec<Step<'a>>) {
    let own = |text: String| Step::User(vec![Cow::Owned(Content::Text(text))]);
    let mut first: Vec<&str> = instructions.into_iter().collect();
    let mut turns = Vec::new();
    for step in steps {
        match step {
            Step::Developer(text) if turns.is_empty() => first.push(text),
            Step::Developer(text) => push(&mut turns, own(format!("<developer>\n{text}\n</developer>"))),
            Step::User(mut said) => {
                said.retain(|content| content.as_text().is_none_or(|text| !text.trim().is_empty()));
                if !said.is_empty() {
                    push(&mut turns, Step::User(said));
                }
            }
            step @ (Step::Model(_) | Step::Results(_)) => turns.push(step),
        }
    }
    // After what was left out the model might.
    if !matches!(turns.first(), Some(Step::User(_))) {
        turns.insert(0, own("(The conversation goes on.)".to_owned()));
    }
    first.retain(|text| !text.is_empty());
    (first, turns)
}

/// The steps with the pictures of `which` results behind these, as if the user had shown them.
pub(crate) fn with_pictures_behind<'a>(
    steps: Vec<Step<'a>>,
    which: impl Fn(&Came<'a>) -> bool,
) -> Vec<Step<'a>> {
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        let mut shown = Vec::new();
        if let Step::Results(came) = &step {
            for came in came.iter().filter(|came| came.has_image() && which(came)) {
                shown.push(Cow::Owned(Content::Text(format!("Pictures of the call {}:", came.id()))));
                let images = came.content().iter().filter(|content| content.as_text().is_none());
                shown.extend(images.map(Cow::Borrowed));
            }
        }
        push(&mut all, step);
        if !shown.is_empty() {
            push(&mut all, Step::User(shown));
        }
    }
    all
}

/// Ends what the model said in one go, with the results behind `at`.
fn close<'a>(
    said: &mut Vec<Part<'a>>,
    steps: &mut Vec<Step<'a>>,
    history: &'a [Entry],
    at: usize,
    taken: &mut [bool],
) {
    while matches!(said.last(), Some(Part::Thought(_))) {
        said.pop();
    }
    let said = std::mem::take(said);
    if said.is_empty() {
        return;
    }
    let calls: Vec<&ToolCall> =
        said.iter().filter_map(|part| if let Part::Call(call) = part { Some(*call) } else { None }).collect();
    steps.push(Step::Model(said));
    let came = calls.into_iter().map(|call| {
        let found = history.iter().enumerate().skip(at).find_map(|(place, entry)| {
            let Entry::Result(result) = entry else { return None };
            (result.id == call.id && !taken[place]).then_some((place, result))
        });
        found.map_or(Came::Nothing(&call.id), |(place, result)| {
            taken[place] = true;
            Came::Result(result)
        })
    });
    let came: Vec<Came<'_>> = came.collect();
    if !came.is_empty() {
        steps.push(Step::Results(came));
    }
}

impl<'a> Came<'a> {
    /// The call's.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Result(result) => &result.id,
            Self::Nothing(id) => id,
        }
    }

    /// Whether the call failed.
    pub(crate) fn failed(&self) -> bool {
        match self {
            Self::Result(result) => result.failed,
            Self::Nothing(_) => true,
        }
    }

    /// Its texts, a line each; says that it failed, for interfaces that have no other place for it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Result(result) if result.failed => format!("The call failed: {}", result.texts()),
            Self::Result(result) => result.texts(),
            Self::Nothing(_) => NOTHING.to_owned(),
        }
    }

    /// What it has beside texts, or in them.
    pub(crate) fn content(&self) -> &'a [Content] {
        match self {
            Self::Result(result) => &result.content,
            Self::Nothing(_) => &[],
        }
    }

    /// Whether there is a picture in it.
    pub(crate) fn has_image(&self) -> bool {
        self.content().iter().any(|content| matches!(content, Content::Image(_)))
    }
}

/// A call with what only its provider knows of it, which goes back as it came.
pub(crate) fn with_more(mut written: Value, call: &ToolCall) -> Value {
    if let Some(written) = written.as_object_mut() {
        for (key, value) in &call.more {
            written.entry(key.as_str()).or_insert_with(|| value.clone());
        }
    }
    written
}

/// A call's arguments. They are an object everywhere: what the model wrote and is none goes back to it as a text in one.
pub(crate) fn arguments(call: &ToolCall) -> Map<String, Value> {
    object(call).unwrap_or_else(|| match call.arguments.trim() {
        "" => Map::new(),
        _ => Map::from_iter([("arguments".to_owned(), json!(call.arguments))]),
    })
}

/// The same as JSON; as the model wrote it where it can be, so that servers find again what they remember.
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
        let part = |part: &Part<'_>| match part {
            Part::Text(message) => message.text.clone(),
            Part::Thought(_) => "thought".to_owned(),
            Part::Call(call) => format!("call {}", call.id),
        };
        let shown = steps(history).into_iter().map(|step| match step {
            Step::User(_) => "user".to_owned(),
            Step::Developer(text) => text.to_owned(),
            Step::Model(said) => said.iter().map(part).collect::<Vec<_>>().join("+"),
            Step::Results(came) => came.iter().map(Came::text).collect::<Vec<_>>().join("+"),
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
