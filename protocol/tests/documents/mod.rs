//! The messages in docs/events.md are of the protocol's types. A part that a message leaves out (`…`) is taken from one
//! that was recorded from the peer.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Deserializer, Map, Value};
use skein_protocol::{
    envelope,
    methods::{for_each_client_notification, for_each_method},
    notifications::for_each_notification,
    server_requests::for_each_server_request,
    table::{
        ClientNotification, ClientNotificationVisitor, Method, MethodVisitor, Notification,
        NotificationVisitor, ServerRequest, ServerRequestVisitor,
    },
};

use crate::peer::{NOTIFICATIONS, REQUESTS, SERVER_REQUESTS};

/// Stands for what was left out.
const CUT: &str = "…";

/// Messages by method: what they ask or tell, and what they are answered.
#[derive(Default)]
struct Messages {
    params: BTreeMap<String, Vec<Value>>,
    results: BTreeMap<String, Vec<Value>>,
}

impl Messages {
    /// An answer is of the method that was last asked under its id.
    fn of(messages: impl IntoIterator<Item = Value>) -> Self {
        let (mut sorted, mut asked) = (Self::default(), BTreeMap::new());
        for message in messages {
            let id = message["id"].to_string();
            if let Some(method) = message["method"].as_str() {
                envelope::stamp(&message.to_string()).expect("what stands beside the method");
                asked.insert(id, method.to_owned());
                let params = message.get("params").cloned().unwrap_or_else(|| Map::new().into());
                sorted.params.entry(method.to_owned()).or_default().push(params);
            } else {
                let method = asked.get(&id).expect("an answer comes after its question");
                sorted.results.entry(method.clone()).or_default().push(message["result"].clone());
            }
        }
        sorted
    }

    fn recorded() -> Self {
        let lines = [REQUESTS, SERVER_REQUESTS, NOTIFICATIONS].into_iter().flat_map(str::lines);
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("the data are JSON"));
        Self::of(lines.flat_map(|line| match (line.get("request"), line.get("response")) {
            (Some(request), Some(response)) => vec![request.clone(), response.clone()],
            _ => vec![line],
        }))
    }

    fn of_document(text: &str) -> Self {
        Self::of(blocks(text).flat_map(|block| {
            let messages = Deserializer::from_str(&block).into_iter::<Value>();
            messages.map(|message| message.expect("a JSON block has messages")).collect::<Vec<_>>()
        }))
    }
}

/// The blocks of JSON, in which each cut is a member of this name.
fn blocks(text: &str) -> impl Iterator<Item = String> {
    text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).map(|block| {
        let (mut json, mut quoted) = (String::new(), false);
        for char in
            block.lines().filter(|line| line.trim() != CUT).flat_map(|line| line.chars().chain(['\n']))
        {
            quoted ^= char == '"';
            if !quoted && CUT.starts_with(char) {
                json.push_str(r#""…": null"#);
            } else {
                json.push(char);
            }
        }
        json
    })
}

/// Whether all of it was left out.
fn is_cut(shown: &Value) -> bool {
    shown.as_object().is_some_and(|members| members.len() == 1 && members.contains_key(CUT))
}

/// The whole of a shown message: the parts that it leaves out come from `known`.
fn whole(shown: &Value, known: &Value) -> Value {
    match shown {
        Value::Object(members) => {
            let cut = members.contains_key(CUT);
            let mut all = known.as_object().filter(|_| cut).cloned().unwrap_or_default();
            for (name, value) in members.iter().filter(|(name, _)| *name != CUT) {
                all.insert(name.clone(), whole(value, &known[name]));
            }
            all.into()
        }
        Value::Array(values) if known[0].is_null() && values.iter().any(is_cut) => Value::Array(Vec::new()),
        Value::Array(values) => values.iter().map(|value| whole(value, &known[0])).collect(),
        Value::String(text) if text.contains(CUT) && known.is_string() => known.clone(),
        Value::String(text) if text.contains(CUT) => "00000000-0000-7000-8000-000000000002".into(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => shown.clone(),
    }
}

/// Whether what is shown is there: a member that no type knows is not.
fn is_in(shown: &Value, printed: &Value) -> bool {
    match (shown, printed) {
        (Value::Object(members), _) => {
            members.iter().filter(|(name, _)| *name != CUT).all(|(name, value)| is_in(value, &printed[name]))
        }
        (Value::Array(values), Value::Array(_)) if values.iter().any(is_cut) => true,
        (Value::Array(values), Value::Array(there)) => {
            values.len() == there.len() && values.iter().zip(there).all(|(value, there)| is_in(value, there))
        }
        (Value::String(text), Value::String(_)) if text.contains(CUT) => true,
        (shown, printed) => shown == printed,
    }
}

fn fits<T: Serialize + DeserializeOwned>(shown: &Value, known: &Value) -> Result<(), String> {
    let whole = whole(shown, known).to_string();
    let read: T = serde_json::from_str(&whole).map_err(|error| error.to_string())?;
    let printed = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    is_in(shown, &printed).then_some(()).ok_or_else(|| format!("what it says is not in {printed}"))
}

/// Messages of the document that no type was tried on yet, and those that were recorded.
struct Document {
    left: Messages,
    recorded: Messages,
}

impl Document {
    fn read<P, R>(&mut self, method: &str)
    where
        P: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        try_all::<P>(method, &mut self.left.params, &self.recorded.params);
        try_all::<R>(method, &mut self.left.results, &self.recorded.results);
    }
}

fn try_all<T: Serialize + DeserializeOwned>(
    method: &str,
    left: &mut BTreeMap<String, Vec<Value>>,
    recorded: &BTreeMap<String, Vec<Value>>,
) {
    let known = recorded.get(method).map(Vec::as_slice).unwrap_or_default();
    for shown in left.remove(method).unwrap_or_default() {
        let tries: Vec<_> =
            known.iter().chain([&Value::Null]).map(|known| fits::<T>(&shown, known)).collect();
        assert!(tries.iter().any(Result::is_ok), "{method}: {shown}\nis not of its type: {tries:?}");
    }
}

impl MethodVisitor for Document {
    fn visit<M: Method>(&mut self) {
        self.read::<M::Params, M::Response>(M::INFO.wire);
    }
}

impl NotificationVisitor for Document {
    fn visit<N: Notification>(&mut self) {
        self.read::<N::Params, Value>(N::INFO.wire);
    }
}

impl ClientNotificationVisitor for Document {
    fn visit<N: ClientNotification>(&mut self) {
        self.read::<N::Params, Value>(N::INFO.wire);
    }
}

impl ServerRequestVisitor for Document {
    fn visit<R: ServerRequest>(&mut self) {
        self.read::<R::Params, R::Response>(R::INFO.wire);
    }
}

#[test]
fn the_messages_of_the_page_about_events_are_of_their_types() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    let text = fs::read_to_string(root.join("docs/events.md")).expect("the page is there");
    let left = Messages::of_document(&text);
    let results: usize = left.results.values().map(Vec::len).sum();
    assert!(left.params.len() > 8 && results > 4, "the page has messages");
    let mut document = Document { left, recorded: Messages::recorded() };
    for_each_method(&mut document);
    for_each_notification(&mut document);
    for_each_client_notification(&mut document);
    for_each_server_request(&mut document);
    let Messages { params, results } = document.left;
    assert!(params.is_empty() && results.is_empty(), "no table has these: {params:?} {results:?}");
}
