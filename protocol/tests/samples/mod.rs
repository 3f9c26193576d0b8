//! Values made from the peer's types (`tests/peer/types.jsonl`): each way that a message can look, with every field and
//! with few, is read and printed again and must be the same. It shows that the alternatives of a union are told apart.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use skein_protocol::{
    methods::for_each_method,
    notifications::for_each_notification,
    server_requests::for_each_server_request,
    table::{Method, MethodVisitor, Notification, NotificationVisitor, ServerRequest, ServerRequestVisitor},
};

use crate::peer::TYPES;

/// Values made of each type.
const ROUNDS: usize = 500;

/// As many times more of what the server asks: forms, of which the rarest parts lie deepest.
const DEEP: usize = 4;

/// Deeper than this, what may be left out is.
const DEPTH: usize = 7;

/// Names within `McpElicitationPrimitiveSchema`, whose alternatives are those of all of them.
const UNIONS_OF_TYPES: &[&str] = &[
    "McpElicitationEnumSchema",
    "McpElicitationSingleSelectEnumSchema",
    "McpElicitationMultiSelectEnumSchema",
    "McpElicitationStringSchema",
    "McpElicitationNumberSchema",
    "McpElicitationBooleanSchema",
    "McpElicitationLegacyTitledEnumSchema",
    "McpElicitationTitledMultiSelectEnumSchema",
    "McpElicitationTitledSingleSelectEnumSchema",
    "McpElicitationUntitledMultiSelectEnumSchema",
    "McpElicitationUntitledSingleSelectEnumSchema",
];

/// A source of choices that is the same in each run.
struct Choices(u64);

impl Choices {
    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % count
    }
}

struct Samples {
    types: BTreeMap<String, Vec<Value>>,
    choices: Choices,
    /// How often each type was made; its alternatives take turns.
    made: BTreeMap<String, usize>,
    tested: usize,
}

impl Samples {
    fn new() -> Self {
        let rows = TYPES.lines().map(|line| serde_json::from_str::<Value>(line).expect("the data are JSON"));
        let types = rows.map(|row| {
            let alternatives = row["alternatives"].as_array().expect("alternatives").clone();
            (row["name"].as_str().expect("a name").to_owned(), alternatives)
        });
        Self { types: types.collect(), choices: Choices(1), made: BTreeMap::new(), tested: 0 }
    }

    /// A value of the type that `text` names.
    fn value(&mut self, text: &str, depth: usize) -> Value {
        if let Some(inner) = text.strip_suffix(" or null") {
            let absent = depth > DEPTH || self.choices.below(3) == 0;
            return if absent { Value::Null } else { self.value(inner, depth) };
        }
        if let Some(inner) = text.strip_suffix("[]") {
            let count = if depth > DEPTH { 0 } else { 1 + self.choices.below(2) };
            return (0..count).map(|_| self.value(inner, depth + 1)).collect();
        }
        if let Some(inner) = text.strip_prefix("map<").and_then(|text| text.strip_suffix('>')) {
            return json!({ "key": self.value(inner, depth + 1) });
        }
        if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let fields = inner.split("; ").map(|field| field.split_once(": ").expect("a field"));
            return self.object(fields, depth);
        }
        match text {
            "string" => json!("01890a5d-ac96-774b-bcce-b302099a8057"),
            "null" => Value::Null,
            "boolean" => json!(true),
            "int64" | "int32" => json!(-5),
            "uint64" | "uint32" | "uint16" | "RequestId" => json!(5),
            "number" => json!(1.5),
            "any" => json!({ "any": [1, "two", null] }),
            word if word.starts_with('"') => serde_json::from_str(word).expect("a word"),
            name => self.named(name, depth),
        }
    }

    fn named(&mut self, name: &str, depth: usize) -> Value {
        let alternatives =
            self.types.get(name).unwrap_or_else(|| panic!("{name} is not in the data")).clone();
        let made = self.made.entry(name.to_owned()).or_default();
        let index = *made % alternatives.len();
        *made += 1;
        let Some(fields) = alternatives[index].as_object() else {
            return self.value(alternatives[index].as_str().expect("a word or a type"), depth + 1);
        };
        let fields = fields.iter().map(|(name, text)| (name.as_str(), text.as_str().expect("a type")));
        self.object(fields, depth + 1)
    }

    fn object<'a>(&mut self, fields: impl Iterator<Item = (&'a str, &'a str)>, depth: usize) -> Value {
        let mut object = Map::new();
        for (name, text) in fields {
            let optional = name.strip_suffix('?');
            if optional.is_some() && (depth > DEPTH || self.choices.below(2) == 0) {
                continue;
            }
            // A field that may be left out is printed only when it is not null.
            let text = if optional.is_some() { text.trim_end_matches(" or null") } else { text };
            let name = name.trim_end_matches(['~', '?']);
            let value = self.value(text, depth);
            object.insert(name.to_owned(), value);
        }
        Value::Object(object)
    }

    fn test<T: JsonSchema + DeserializeOwned + Serialize>(&mut self) {
        let name = T::schema_name();
        if !self.types.contains_key(&*name) {
            assert!(
                name.starts_with("Skein") || name.starts_with("RpcDiscover"),
                "{name} is not in the data"
            );
            return;
        }
        for _ in 0..ROUNDS {
            let value = self.named(&name, 0);
            let read: T =
                serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
            assert_eq!(serde_json::to_value(&read).expect("JSON"), value, "{name}");
            self.tested += 1;
        }
    }
}

impl MethodVisitor for Samples {
    fn visit<M: Method>(&mut self) {
        self.test::<M::Params>();
        self.test::<M::Response>();
    }
}

impl NotificationVisitor for Samples {
    fn visit<N: Notification>(&mut self) {
        self.test::<N::Params>();
    }
}

impl ServerRequestVisitor for Samples {
    fn visit<R: ServerRequest>(&mut self) {
        for _ in 0..DEEP {
            self.test::<R::Params>();
        }
        self.test::<R::Response>();
    }
}

#[test]
fn each_way_that_a_message_can_look_is_read_and_printed_the_same() {
    let mut samples = Samples::new();
    for_each_method(&mut samples);
    for_each_notification(&mut samples);
    for_each_server_request(&mut samples);
    let few: Vec<&String> = samples
        .types
        .iter()
        .filter(|(name, alternatives)| {
            samples.made.get(*name).copied().unwrap_or_default() < alternatives.len()
        })
        .map(|(name, _)| name)
        .filter(|name| !UNIONS_OF_TYPES.contains(&name.as_str()))
        .collect();
    assert!(few.is_empty(), "not made in each way: {few:?}");
    eprintln!("{} values of {} types", samples.tested, samples.made.len());
}
