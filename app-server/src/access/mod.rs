//! Identity and rights: web origins, credentials, and the admission that a connection keeps. The room opens no socket;
//! `http/access` asks it for each request.

#![allow(dead_code, unused_imports, reason = "the doors take their parts one after the other")]

mod admission;
mod origin;

pub(crate) use admission::{Admission, CredentialKind, Door, Grant, Identity};
pub(crate) use origin::{BadOrigin, OriginPattern, WebOrigin};
