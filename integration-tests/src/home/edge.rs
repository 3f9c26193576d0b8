//! A second server of a home's database (`scripts/test --store postgres --nodes 2`). All clients of the home connect to it, and all
//! threads live at the first one: a thread is loaded where its folder is, and the second one sees no folder of the tests.

use std::env;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// Variable with the number of servers at the database of each home.
const SERVERS: &str = "SKEIN_TEST_NODES";

/// The second server logs this when it knows the threads of the first one.
pub(super) const OBSERVES: &str = "another server is observed";

/// Gives the following program folders of its own.
const UNSHARE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];

/// Shell script that hides the folder `$1`, except for those below it that follow until `--`, and becomes the program behind that.
const SCRIPT: &str = r#"set -e
hidden=$1
shift
mount -t tmpfs none /mnt
while [ "$1" != -- ]; do
  mkdir -p "/mnt${1#"$hidden"}"
  mount --rbind "$1" "/mnt${1#"$hidden"}"
  shift
done
shift
mount --rbind /mnt "$hidden"
exec "$@"
"#;

/// The folders for temporary files that such a server shares with others.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The working folder of both servers. This one cannot open it.
    pub(super) working: PathBuf,
    /// The folder of the database's socket.
    pub(super) database: PathBuf,
}

/// Whether homes of this test run have two servers.
pub(super) fn is_wanted() -> bool {
    env::var_os(SERVERS).is_some_and(|servers| servers == "2")
}

/// Command that runs the program without its arguments, with its own files in `folder`.
pub(super) fn server(seen: &Seen, folder: &Path, program: &Path) -> Command {
    let [unshare, options @ ..] = UNSHARE;
    let mut command = Command::new(unshare);
    command.args(options).args(["sh", "-c", SCRIPT, "sh"]).arg(env::temp_dir());
    command.arg(&seen.database).arg(folder).arg("--").arg(program);
    command
}
