//! Processes that outlived their guard or their server: finds them, ends them and reaps them.

pub(crate) mod children;
pub(crate) mod kill_loop;
pub(crate) mod orphans;
pub(crate) mod reaper;
pub(crate) mod startup_cleanup;
