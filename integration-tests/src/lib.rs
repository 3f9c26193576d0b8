//! What the tests of a running server share.
//!
//! | room | question it answers |
//! | --- | --- |
//! | [`home`] | how a server is set up, started, killed and ended with nothing left |
//! | [`client`] | how to talk to it |
//! | [`view`] | what a client shows of a thread, by the rules for client authors |
//! | [`proxy`] | a link that stalls, trickles and is cut |
//! | [`seed`] | how a random schedule is played again |
//! | [`requests`] | what tests ask again and again |
//! | [`process`] | which processes there are |
//! | [`proxy`] | how a link is cut, stalled and slowed down |
//! | [`http_helper`] | an MCP server over HTTP that does what it is told |
//! | [`http`] | what it says outside of a websocket |
//! | [`mod@bench`] | what a large history costs |
//! | [`fixture`] | homes with large, old, torn and damaged histories |
//! | [`demo`] | whether switching between threads leaves anything |
//! | [`wedge`] | whether helpers that do not go on make others wait |
//! | [`zoo`] | whether anything is left of helpers that behave badly |
//! | [`soak`] | whether a server that is used for long grows |
//! | [`strangers`] | whether helpers that others have written work, and leave nothing |
//! | [`snapshot`] | whole conversations, compared with files |
//! | [`terminal`] | what a program shows on its screen |
//! | [`paths`] | where our programs are |

pub mod bench;
pub mod client;
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
pub mod strangers;
pub mod streams;
pub mod terminal;
pub mod view;
pub mod wedge;
pub mod zoo;

pub use client::Client;
pub use home::Home;
