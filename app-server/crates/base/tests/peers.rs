//! The other ends of connections between processes and users of this machine.

#[cfg(target_os = "linux")]
#[cfg(test)]
#[path = "peers/connections.rs"]
mod connections;
