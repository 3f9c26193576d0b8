//! Shared parts of the tests of a running server.
//!
//! | room | question it answers |
//! | --- | --- |
//! | [`home`] | how a server is set up, started, killed and stopped with no process left |
//! | [`client`] | how a client talks to the server |
//! | [`view`] | which state a client shows, by the rules for client authors |
//! | [`proxy`] | how a link is cut, stalled and slowed down |
//! | [`seed`] | how a random schedule is repeated |
//! | [`requests`] | which requests most tests need |
//! | [`process`] | which processes there are |
//! | [`http_helper`] | an MCP server over HTTP which misbehaves on request |
//! | [`http`] | how HTTP works beside the websocket |
//! | [`mod@bench`] | how much time and memory a large history costs |
//! | [`fixture`] | homes with large, old, torn and damaged histories |
//! | [`demo`] | whether switching between threads leaves a process behind |
//! | [`wedge`] | whether stuck helpers delay other requests |
//! | [`zoo`] | whether badly behaved helpers leave processes behind |
//! | [`soak`] | whether a server grows under long use |
//! | [`chaos`] | whether what people got from failing servers of one database can be true |
//! | [`third_party`] | whether third-party MCP servers work and leave nothing behind |
//! | [`snapshot`] | whether whole conversations match files |
//! | [`terminal`] | which text a program shows on its screen |
//! | [`users`] | how a second user of this machine runs a program |
//! | [`credentials`] | how a client gets in with a token or as a page |
//! | [`paths`] | where our programs are, and how `skein` runs on a home |

pub mod bench;
pub mod chaos;
pub mod client;
pub mod credentials;
pub mod demo;
pub mod fixture;
pub mod home;
pub mod http;
pub mod http_helper;
pub mod paths;
pub mod process;
pub mod proxy;
pub mod requests;
pub mod seed;
pub mod snapshot;
pub mod soak;
pub mod streams;
pub mod terminal;
pub mod third_party;
pub mod users;
pub mod view;
pub mod wedge;
pub mod zoo;

pub use client::Client;
pub use home::Home;
