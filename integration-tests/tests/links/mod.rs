//! Clients with slow, stalled or dead links: the server supports them as long as possible, and no other
//! client waits.

mod dead;
mod slow;
