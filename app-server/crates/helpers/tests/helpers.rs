//! Helpers as real processes under a real guard: however a helper behaves, and whichever process dies, nothing stays behind.

#[cfg(test)]
#[path = "helpers/alive.rs"]
mod alive;
#[cfg(test)]
#[path = "helpers/callers.rs"]
mod callers;
#[cfg(test)]
#[path = "helpers/house.rs"]
mod house;
#[cfg(test)]
#[path = "helpers/levels.rs"]
mod levels;
#[cfg(test)]
#[path = "helpers/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "helpers/processes.rs"]
mod processes;
#[cfg(test)]
#[path = "helpers/server_death.rs"]
mod server_death;
#[cfg(test)]
#[path = "helpers/sessions.rs"]
mod sessions;
