//! Renders the JSON Schema.
//!
//! A type has a schema for receiving and one for sending: a field that is optional to read, but always printed, is
//! required in the second only.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    error::WireError,
    methods::{for_each_client_notification, for_each_method},
    notifications::for_each_notification,
    server_requests::for_each_server_request,
    table::{
        ClientNotification, ClientNotificationVisitor, Method, MethodVisitor, Notification,
        NotificationVisitor, ServerRequest, ServerRequestVisitor,
    },
};

/// The schema of all messages, as text that ends in a line break; deterministic.
pub fn schema_json() -> String {
    format!("{:#}\n", Schemas::new().document())
}

/// The schemas of all messages. Received types are apart from sent ones.
pub(super) struct Schemas {
    /// By method: `params` and `result`.
    pub methods: Map<String, Value>,
    /// By notification of the client: `params`.
    pub client_notifications: Map<String, Value>,
    /// By notification of the server: `params`.
    pub notifications: Map<String, Value>,
    /// By request of the server: `params` and `result`.
    pub server_requests: Map<String, Value>,
    /// The `error` member of an answer.
    pub error: Value,
    /// By name, in the received form.
    pub received: Map<String, Value>,
    /// By name, in the sent form.
    pub sent: Map<String, Value>,
}

impl Schemas {
    /// Uses the newest dialect of JSON Schema.
    pub(super) fn new() -> Self {
        Self::with(SchemaSettings::draft2020_12())
    }

    /// Uses the dialect of `settings`.
    pub(super) fn with(settings: SchemaSettings) -> Self {
        let mut collector = Collector::new(settings);
        for_each_method(&mut collector);
        for_each_client_notification(&mut collector);
        for_each_notification(&mut collector);
        for_each_server_request(&mut collector);
        collector.schemas.error = collector.sent::<WireError>();
        collector.done()
    }

    fn document(self) -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "The messages between a client and Skein",
            "methods": self.methods,
            "clientNotifications": self.client_notifications,
            "notifications": self.notifications,
            "serverRequests": self.server_requests,
            "error": self.error,
            "$defs": { "received": self.received, "sent": self.sent },
        })
    }
}

struct Collector {
    received: SchemaGenerator,
    sent: SchemaGenerator,
    schemas: Schemas,
}

impl Collector {
    fn new(settings: SchemaSettings) -> Self {
        let at = |path: &'static str| settings.clone().with(|s| s.definitions_path = path.into());
        Self {
            received: at("/$defs/received").for_deserialize().into_generator(),
            sent: at("/$defs/sent").for_serialize().into_generator(),
            schemas: Schemas {
                methods: Map::new(),
                client_notifications: Map::new(),
                notifications: Map::new(),
                server_requests: Map::new(),
                error: Value::Null,
                received: Map::new(),
                sent: Map::new(),
            },
        }
    }

    fn received<T: JsonSchema>(&mut self) -> Value {
        self.received.subschema_for::<T>().to_value()
    }

    fn sent<T: JsonSchema>(&mut self) -> Value {
        self.sent.subschema_for::<T>().to_value()
    }

    fn done(mut self) -> Schemas {
        self.schemas.received = self.received.take_definitions(true);
        self.schemas.sent = self.sent.take_definitions(true);
        self.schemas
    }
}

impl MethodVisitor for Collector {
    fn visit<M: Method>(&mut self) {
        let row = json!({ "params": self.received::<M::Params>(), "result": self.sent::<M::Response>() });
        self.schemas.methods.insert(M::INFO.wire.to_owned(), row);
    }
}

impl ClientNotificationVisitor for Collector {
    fn visit<N: ClientNotification>(&mut self) {
        let row = json!({ "params": self.received::<N::Params>() });
        self.schemas.client_notifications.insert(N::INFO.wire.to_owned(), row);
    }
}

impl NotificationVisitor for Collector {
    fn visit<N: Notification>(&mut self) {
        let row = json!({ "params": self.sent::<N::Params>() });
        self.schemas.notifications.insert(N::INFO.wire.to_owned(), row);
    }
}

impl ServerRequestVisitor for Collector {
    fn visit<R: ServerRequest>(&mut self) {
        let row = json!({ "params": self.sent::<R::Params>(), "result": self.received::<R::Response>() });
        self.schemas.server_requests.insert(R::INFO.wire.to_owned(), row);
    }
}
