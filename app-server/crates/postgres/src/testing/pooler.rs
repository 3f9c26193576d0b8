//! pgbouncer in front of the database of a test, in transaction mode: statements of a client come to any connection.

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::guarded::GuardedProgram;
use super::{TestDatabase, binaries};
use crate::address::DbAddress;

/// `$1` is the program, `$2` the folder of the database's socket. Fewer connections than clients, so that they are shared.
const LIFE: &str = r#"
touch log
cat >ini <<END
[databases]
* = host=$2 user=skein
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = $PWD
auth_type = any
pool_mode = transaction
default_pool_size = 3
logfile = $PWD/log
pidfile = $PWD/pid
END
"$1" -d ini >out 2>&1 || { cat out log; exit 1; }
# It listens a moment after it has gone into the background.
looks=0
until grep -q "listening on unix" log; do
  looks=$((looks + 1))
  [ $looks -lt 1000 ] || { cat out log; exit 1; }
  sleep 0.01
done
until_the_end
kill "$(cat pid)"
"#;

/// The pooler. It ends when it is dropped.
pub struct TestPooler(GuardedProgram);

impl TestPooler {
    /// Starts a pooler in front of a database.
    ///
    /// # Panics
    /// If pgbouncer is not here, or does not start. The message says what to do.
    pub fn start(at: &TestDatabase) -> Self {
        let program = binaries::of_pgbouncer().unwrap_or_else(|error| panic!("{error}"));
        let Some(Host::Unix(socket)) = at.address.config.get_hosts().first() else {
            panic!("it has a socket")
        };
        Self(GuardedProgram::start(LIFE, &[program.as_os_str(), socket.as_os_str()]))
    }

    /// The address of the database through the pooler.
    pub fn database(&self, at: &TestDatabase) -> TestDatabase {
        let mut config = Config::new();
        config.host_path(self.0.folder()).user("skein").dbname(&at.name);
        let address = DbAddress::without_tls(config).unwrap_or_else(|error| panic!("{error}"));
        TestDatabase { address, name: at.name.clone() }
    }
}
