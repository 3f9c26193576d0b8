//! The messages of Skein's wire.
//!
//! The core of the Codex app-server protocol, version 2, with additions apart from it: methods that begin with
//! `skein/`, and an object `skein` in params and responses.
//!
//! | room | question it answers |
//! | --- | --- |
//! | [`methods`], [`notifications`], [`server_requests`] | what messages exist: one row each |
//! | [`table`] | how a row becomes types and constants |
//! | [`envelope`] | how a text frame is read and printed |
//! | [`error`], [`missing`] | which codes, sentences and data errors carry |
//! | [`ids`] | how things are named |
//! | [`thread`], [`turn`], [`item`], [`helper`], [`server`], [`approval`], [`event`], [`account`], [`config`], [`catalogue`], [`feedback`], [`question`] | what messages carry, by subject |
//! | [`access`] | which access a method needs, and a connection has |
//! | [`settings`], [`elicitation`], [`response_item`] | what several of them share |
//! | [`extension`] | what is ours |
//! | [`declined`] | which methods of the peer are not offered, and why |
//! | [`params`] | which params of a thread or a turn have an effect, and why not the others |
//! | [`export`] | what is generated from the tables |
//!
//! A member that is `None` is left out under `#[skip_serializing_none]` and `skip_serializing_if`, and is `null`
//! elsewhere, as in the recorded messages of the peer.
//!
//! This crate has no runtime, no files and no clock.

pub mod access;
pub mod account;
pub mod approval;
pub mod budget;
pub mod catalogue;
pub mod config;
pub mod declined;
mod dynamic_tools;
pub mod elicitation;
pub mod envelope;
pub mod error;
pub mod event;
pub mod export;
pub mod extension;
pub mod feedback;
pub mod helper;
pub mod ids;
pub mod item;
pub mod methods;
pub mod missing;
pub mod notifications;
pub mod params;
pub mod question;
pub mod reasons;
pub mod response_item;
pub mod server;
pub mod server_requests;
pub mod settings;
pub mod table;
pub mod thread;
pub mod turn;

/// A JSON object whose members the protocol does not name.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;
