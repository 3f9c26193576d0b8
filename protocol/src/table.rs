//! Turns the rows of `methods.rs`, `notifications.rs` and `server_requests.rs` into types and constants.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::access::Access;

/// A type on the wire: read, printed, and described by a schema.
pub trait Payload: Serialize + DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static> Payload for T {}

/// The part of the server that a request may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// None: answered from memory.
    Inline,
    /// The disk: history files and the index.
    Store,
    /// One thread.
    Thread,
    /// One helper.
    Helper,
}

/// The stability of a method's shape, for documentation only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stability {
    /// Changes only compatibly.
    Stable,
    /// May change.
    Experimental,
}

/// The receivers of a notification. An ephemeral thread notifies only its subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recipients {
    /// Every initialised connection that did not opt out.
    All,
    /// The subscribers of the thread.
    Subscribers,
}

/// Whether a notification is part of a thread's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A record of the history: numbered, saved, never dropped.
    Durable,
    /// Never numbered; later events replace it.
    Transient,
}

/// One row of `methods.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodInfo {
    /// Name on the wire.
    pub wire: &'static str,
    /// The documentation, one line for each doc line of the row.
    pub doc: &'static str,
    /// The part of the server that it may wait for.
    pub lane: Lane,
    /// The stability of its shape.
    pub stability: Stability,
    /// The least access of a connection that may call it.
    pub access: Access,
}

/// One row of `notifications.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotificationInfo {
    /// Name on the wire.
    pub wire: &'static str,
    /// The documentation, one line for each doc line of the row.
    pub doc: &'static str,
    /// The receivers.
    pub scope: Recipients,
    /// Whether it is part of a thread's history.
    pub kind: EventKind,
}

/// One row of `server_requests.rs`, or of the notifications that clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageInfo {
    /// Name on the wire.
    pub wire: &'static str,
    /// The documentation, one line for each doc line of the row.
    pub doc: &'static str,
}

/// A request from client to server.
pub trait Method: 'static {
    /// The client's params; missing or null ones are read as `{}`.
    type Params: Payload;
    /// The server's answer.
    type Response: Payload;
    /// The row.
    const INFO: MethodInfo;
}

/// A notification from server to client.
pub trait Notification: 'static {
    /// The server's params.
    type Params: Payload;
    /// The row.
    const INFO: NotificationInfo;
}

/// A request from server to client.
pub trait ServerRequest: 'static {
    /// The server's params.
    type Params: Payload;
    /// The client's answer.
    type Response: Payload;
    /// The row.
    const INFO: MessageInfo;
}

/// A notification from client to server.
pub trait ClientNotification: 'static {
    /// The client's params; missing or null ones are read as `{}`.
    type Params: Payload;
    /// The row.
    const INFO: MessageInfo;
}

/// Visits each method with its types.
pub trait MethodVisitor {
    /// Called once for each row, in the table's order.
    fn visit<M: Method>(&mut self);
}

/// Visits each notification of the server with its types.
pub trait NotificationVisitor {
    /// Called once for each row, in the table's order.
    fn visit<N: Notification>(&mut self);
}

/// Visits each request of the server with its types.
pub trait ServerRequestVisitor {
    /// Called once for each row, in the table's order.
    fn visit<R: ServerRequest>(&mut self);
}

/// Visits each notification that clients send, with its types.
pub trait ClientNotificationVisitor {
    /// Called once for each row, in the table's order.
    fn visit<N: ClientNotification>(&mut self);
}

macro_rules! methods {
    ($( $(#[doc = $doc:literal])+
        $name:ident = $wire:literal [$lane:ident, $stability:ident, $access:ident] $params:ty => $response:ty; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::table::Method for $name {
                type Params = $params;
                type Response = $response;
                const INFO: $crate::table::MethodInfo = $crate::table::MethodInfo {
                    wire: $wire,
                    doc: concat!($($doc, "\n"),+),
                    lane: $crate::table::Lane::$lane,
                    stability: $crate::table::Stability::$stability,
                    access: $crate::access::Access::$access,
                };
            }
        )+

        /// Every method, in the table's order.
        pub const METHODS: &[$crate::table::MethodInfo] = &[$( <$name as $crate::table::Method>::INFO ),+];

        /// Shows each method to `visitor`, in the table's order.
        pub fn for_each_method(visitor: &mut impl $crate::table::MethodVisitor) {
            $( visitor.visit::<$name>(); )+
        }
    };
}

macro_rules! notifications {
    ($( $(#[doc = $doc:literal])+ $name:ident = $wire:literal [$scope:ident, $kind:ident] $params:ty; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::table::Notification for $name {
                type Params = $params;
                const INFO: $crate::table::NotificationInfo = $crate::table::NotificationInfo {
                    wire: $wire,
                    doc: concat!($($doc, "\n"),+),
                    scope: $crate::table::Recipients::$scope,
                    kind: $crate::table::EventKind::$kind,
                };
            }
        )+

        /// Every notification of the server, in the table's order.
        pub const NOTIFICATIONS: &[$crate::table::NotificationInfo] =
            &[$( <$name as $crate::table::Notification>::INFO ),+];

        /// Shows each notification of the server to `visitor`, in the table's order.
        pub fn for_each_notification(visitor: &mut impl $crate::table::NotificationVisitor) {
            $( visitor.visit::<$name>(); )+
        }
    };
}

macro_rules! server_requests {
    ($( $(#[doc = $doc:literal])+ $name:ident = $wire:literal $params:ty => $response:ty; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::table::ServerRequest for $name {
                type Params = $params;
                type Response = $response;
                const INFO: $crate::table::MessageInfo =
                    $crate::table::MessageInfo { wire: $wire, doc: concat!($($doc, "\n"),+) };
            }
        )+

        /// Every request of the server, in the table's order.
        pub const SERVER_REQUESTS: &[$crate::table::MessageInfo] =
            &[$( <$name as $crate::table::ServerRequest>::INFO ),+];

        /// Shows each request of the server to `visitor`, in the table's order.
        pub fn for_each_server_request(visitor: &mut impl $crate::table::ServerRequestVisitor) {
            $( visitor.visit::<$name>(); )+
        }
    };
}

macro_rules! client_notifications {
    ($( $(#[doc = $doc:literal])+ $name:ident = $wire:literal $params:ty; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::table::ClientNotification for $name {
                type Params = $params;
                const INFO: $crate::table::MessageInfo =
                    $crate::table::MessageInfo { wire: $wire, doc: concat!($($doc, "\n"),+) };
            }
        )+

        /// Every notification that clients send, in the table's order.
        pub const CLIENT_NOTIFICATIONS: &[$crate::table::MessageInfo] =
            &[$( <$name as $crate::table::ClientNotification>::INFO ),+];

        /// Shows each notification that clients send to `visitor`, in the table's order.
        pub fn for_each_client_notification(visitor: &mut impl $crate::table::ClientNotificationVisitor) {
            $( visitor.visit::<$name>(); )+
        }
    };
}

pub(crate) use {client_notifications, methods, notifications, server_requests};
