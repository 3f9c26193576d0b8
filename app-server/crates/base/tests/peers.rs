//! The other ends of connections between processes and users of this machine, and processes without their first thread.

#[cfg(target_os = "linux")]
#[cfg(test)]
#[path = "peers/connections.rs"]
mod connections;
#[cfg(target_os = "linux")]
#[cfg(test)]
#[path = "peers/threads.rs"]
mod threads;
