//! Each type has the peer's fields: the same names, the same types, sent and left out alike.
//!
//! `tests/peer/types.jsonl` was derived from the schema of Codex app-server v2 (0.169.0): for each type its
//! alternatives, each a word, a type, or an object of fields. Behind a field's name, `~` means that the peer always sends
//! it though a reader must accept its absence, and `?` that it may be left out. (The times of an item, the token count of
//! a completed one, the status of a failed request and how a skill is shown are `?` in the schema; in every recorded
//! message they are there, so they are `~` here. Parts of the configuration that Skein has no settings for are of any shape.)

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};
use skein_protocol::{
    methods::for_each_method,
    notifications::for_each_notification,
    server_requests::for_each_server_request,
    table::{Method, MethodVisitor, Notification, NotificationVisitor, ServerRequest, ServerRequestVisitor},
};

use crate::peer::TYPES;

/// Every type of every table, in both directions.
struct Types {
    read: SchemaGenerator,
    sent: SchemaGenerator,
}

impl Types {
    fn add<T: JsonSchema>(&mut self) {
        self.read.subschema_for::<T>();
        self.sent.subschema_for::<T>();
    }
}

impl MethodVisitor for Types {
    fn visit<M: Method>(&mut self) {
        self.add::<M::Params>();
        self.add::<M::Response>();
    }
}

impl NotificationVisitor for Types {
    fn visit<N: Notification>(&mut self) {
        self.add::<N::Params>();
    }
}

impl ServerRequestVisitor for Types {
    fn visit<R: ServerRequest>(&mut self) {
        self.add::<R::Params>();
        self.add::<R::Response>();
    }
}

/// One way that a value of a type can look.
#[derive(Debug, Clone)]
enum Shape {
    /// A word or a type.
    Text(String),
    /// An object: for each field its type, and whether it is always there.
    Fields(BTreeMap<String, (String, bool)>),
}

/// Reads schemas against the definitions that they refer to.
struct Reader {
    definitions: Map<String, Value>,
    /// The peer's types; ours beside them are written out where they are used.
    named: BTreeSet<String>,
}

impl Reader {
    fn target<'a>(&'a self, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
        let name = schema.get("$ref")?.as_str()?.rsplit('/').next()?;
        Some((name, &self.definitions[name]))
    }

    /// Every way that a value of `schema` can look.
    fn shapes(&self, schema: &Value) -> Vec<Shape> {
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return words.iter().map(|word| Shape::Text(word.to_string())).collect();
        }
        let mut parts: Vec<Vec<Shape>> = Vec::new();
        if let Some((_, target)) = self.target(schema) {
            parts.push(self.shapes(target));
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = schema.get(key).and_then(Value::as_array) {
                parts.push(choices.iter().flat_map(|choice| self.shapes(choice)).collect());
            }
        }
        if schema.get("properties").is_some() {
            parts.push(vec![Shape::Fields(self.fields(schema))]);
        }
        match parts.into_iter().reduce(|all, part| product(&all, &part)) {
            Some(shapes) => shapes,
            None if self.text(schema) == "{}" => vec![Shape::Fields(BTreeMap::new())],
            None => vec![Shape::Text(self.text(schema))],
        }
    }

    fn fields(&self, schema: &Value) -> BTreeMap<String, (String, bool)> {
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object().expect("an object");
        let ours = |name: &str| name == "skein";
        properties
            .iter()
            .filter(|(name, _)| !ours(name))
            .map(|(name, schema)| (name.clone(), (self.text(schema), required.contains(name.as_str()))))
            .collect()
    }

    /// A type in one line.
    fn text(&self, schema: &Value) -> String {
        if let Some((name, target)) = self.target(schema) {
            return match name {
                "ThreadId" | "TurnId" | "ItemId" => "string".to_owned(),
                "RequestId" => name.to_owned(),
                _ if self.named.contains(name) => name.to_owned(),
                _ => self.text(target),
            };
        }
        if let Some(word) = schema.get("const") {
            return word.to_string();
        }
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            let named: Vec<String> = choices
                .iter()
                .filter(|choice| choice["type"] != "null")
                .map(|choice| self.text(choice))
                .collect();
            return format!("{} or null", named.join(" | "));
        }
        if schema.get("properties").is_some() {
            let fields: Vec<String> = self
                .fields(schema)
                .into_iter()
                .map(|(name, (text, always))| format!("{name}{}: {text}", if always { "" } else { "?" }))
                .collect();
            return format!("{{{}}}", fields.join("; "));
        }
        match &schema["type"] {
            Value::String(name) => self.simple(name, schema),
            Value::Array(names) => {
                assert!(names.len() == 2 && names[1] == "null", "{schema}");
                format!("{} or null", self.simple(names[0].as_str().expect("a type"), schema))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "any".to_owned(),
        }
    }

    fn simple(&self, name: &str, schema: &Value) -> String {
        match name {
            "integer" => schema["format"].as_str().unwrap_or(name).to_owned(),
            "array" => format!("{}[]", self.text(&schema["items"])),
            "object" => match schema.get("additionalProperties") {
                Some(Value::Bool(false)) | None => "{}".to_owned(),
                Some(schema) => format!("map<{}>", self.text(schema)),
            },
            other => other.to_owned(),
        }
    }
}

/// Each of `all` together with each of `part`.
fn product(all: &[Shape], part: &[Shape]) -> Vec<Shape> {
    let both = |a: &Shape, b: &Shape| match (a, b) {
        (Shape::Fields(a), Shape::Fields(b)) => {
            Shape::Fields(a.iter().chain(b).map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        (Shape::Text(_), _) | (_, Shape::Text(_)) => panic!("{a:?} and {b:?} at once"),
    };
    all.iter().flat_map(|a| part.iter().map(move |b| both(a, b))).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Read,
    Sent,
}

/// The peer's shape, in the form that ours has in one direction.
fn expected(alternative: &Value, direction: Direction) -> Shape {
    let Some(fields) = alternative.as_object() else {
        return Shape::Text(alternative.as_str().expect("a word or a type").to_owned());
    };
    let fields = fields.iter().map(|(name, text)| {
        let inner = if direction == Direction::Sent { "" } else { "?" };
        let text = text.as_str().expect("a type").replace('~', inner);
        let (bare, always) = match name.strip_suffix(['~', '?']) {
            // Known to be missing in answers that clients accept.
            None if name == "projectId" => (name.as_str(), direction == Direction::Sent),
            None => (name.as_str(), true),
            Some(bare) => (bare, name.ends_with('~') && direction == Direction::Sent),
        };
        (bare.to_owned(), (text, always))
    });
    Shape::Fields(fields.collect())
}

/// Whether our shape is the peer's. Where a field may be left out, we may read a null beyond what the peer does.
fn same(ours: &Shape, theirs: &Shape) -> bool {
    match (ours, theirs) {
        (Shape::Text(ours), Shape::Text(theirs)) => ours == theirs,
        (Shape::Fields(ours), Shape::Fields(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(
                    |((name, (text, always)), (their_name, (their_text, their_always)))| {
                        let nullable = !always && text.strip_suffix(" or null") == Some(their_text);
                        name == their_name && always == their_always && (text == their_text || nullable)
                    },
                )
        }
        (Shape::Text(_), Shape::Fields(_)) | (Shape::Fields(_), Shape::Text(_)) => false,
    }
}

/// Whether both are the same alternatives, in any order.
fn same_alternatives(ours: &[Shape], theirs: &[Shape]) -> bool {
    let mut rest: Vec<&Shape> = theirs.iter().collect();
    let found = |shape: &Shape, rest: &mut Vec<&Shape>| {
        rest.iter().position(|other| same(shape, other)).map(|index| rest.swap_remove(index)).is_some()
    };
    ours.iter().all(|shape| found(shape, &mut rest)) && rest.is_empty()
}

/// Names of the types that differ, with both shapes.
fn differences(direction: Direction) -> (usize, Vec<String>) {
    let settings = SchemaSettings::draft2020_12();
    let mut types = Types {
        read: settings.clone().for_deserialize().into_generator(),
        sent: settings.for_serialize().into_generator(),
    };
    for_each_method(&mut types);
    for_each_notification(&mut types);
    for_each_server_request(&mut types);
    let definitions = match direction {
        Direction::Read => types.read.take_definitions(true),
        Direction::Sent => types.sent.take_definitions(true),
    };
    let rows: Vec<Value> =
        TYPES.lines().map(|line| serde_json::from_str(line).expect("the data are JSON")).collect();
    let named = rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect();
    let reader = Reader { definitions, named };
    let mut wrong = Vec::new();
    for row in &rows {
        let name = row["name"].as_str().expect("a name");
        let alternatives = row["alternatives"].as_array().expect("alternatives");
        let theirs: Vec<Shape> = alternatives.iter().map(|shape| expected(shape, direction)).collect();
        let Some(schema) = reader.definitions.get(name) else {
            wrong.push(format!("{name} is missing"));
            continue;
        };
        let ours = reader.shapes(schema);
        if !same_alternatives(&ours, &theirs) {
            wrong.push(format!("{name}\n  peer {theirs:?}\n  ours {ours:?}"));
        }
    }
    (rows.len(), wrong)
}

#[test]
fn each_type_is_sent_with_the_peers_fields() {
    let (tested, wrong) = differences(Direction::Sent);
    assert!(wrong.is_empty(), "{} of {tested} types differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tested > 150, "only {tested} types were tested");
}

#[test]
fn each_type_is_read_with_the_peers_fields() {
    let (tested, wrong) = differences(Direction::Read);
    assert!(wrong.is_empty(), "{} of {tested} types differ:\n{}", wrong.len(), wrong.join("\n"));
}
