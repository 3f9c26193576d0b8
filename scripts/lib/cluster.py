"""A PostgreSQL and its servers under measurement."""

import contextlib, os, pathlib, re, subprocess, sys, time, urllib.parse

from served import RawClient, Server, processor


def sent(server):
    """Bytes that the open connections of a server have sent so far: those to its clients, and those to other servers."""
    listed = subprocess.run(["ss", "-tinpHO", "state", "established"], capture_output=True, text=True, check=True).stdout
    port, to_clients, to_servers = f":{urllib.parse.urlsplit(server.url).port}", 0, 0
    for line in listed.splitlines():
        count = re.search(r" bytes_sent:(\d+) ", line)
        if count and f",pid={server.process.pid}," in line:
            # The third word is the server's own address.
            if line.split()[2].endswith(port):
                to_clients += int(count[1])
            else:
                to_servers += int(count[1])
    return to_clients, to_servers


class Database:
    """A PostgreSQL of this run."""

    def __init__(self, skein, folder):
        setup = '. scripts/lib/database && begin_database "$0" fsync=on shared_buffers=256MB max_connections=1000 && echo "$SKEIN_TEST_DATABASE $SKEIN_TEST_DATABASE_BIN" && read -r _'
        self.shell = subprocess.Popen(["bash", "-c", setup, skein], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.shell.stdout.readline().split()
        if len(line) != 2:
            sys.exit("cluster: the database does not start")
        self.socket, self.programs = line
        self.scratch, self.count = pathlib.Path(folder), 0
        self.postmaster = int((pathlib.Path(self.socket) / "data/postmaster.pid").read_text().split()[0])

    def command(self, program, *arguments):
        return [f"{self.programs}/{program}", "-h", self.socket, "-U", "skein", *arguments]

    def run(self, program, *arguments, **options):
        done = subprocess.run(self.command(program, *arguments), capture_output=True, text=True, **options)
        if done.returncode:
            sys.exit(f"cluster: {program}: {done.stderr}")
        return done.stdout

    def create(self):
        """A new database with Skein's tables: its name."""
        self.count += 1
        self.run("createdb", "-T", "skein_template", f"bench{self.count}")
        return f"bench{self.count}"

    def drop(self, name):
        """Drops a database, so that nothing of it is cleaned up or written beside a later measurement."""
        self.run("dropdb", "--force", name)
        self.sql("postgres", "checkpoint")

    def sql(self, name, sql):
        return self.run("psql", "-qAt", "-v", "ON_ERROR_STOP=1", name, input=sql).strip()

    @contextlib.contextmanager
    def session(self, name):
        """A function that asks for one value, over a connection that stays. To connect for each would be a load."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        with subprocess.Popen(self.command("psql", "-qAt", name), **pipes) as psql:

            def ask(sql):
                psql.stdin.write(f"{sql};\n")
                return psql.stdout.readline().strip()

            yield ask

    def writes(self):
        """Transactions that have written so far, in all databases. Each has taken a number, which the database knows at once; it counts
        commits only when a connection reports them."""
        return int(self.sql("postgres", "select pg_snapshot_xmax(pg_current_snapshot())"))

    def bench(self, name, sql, clients, seconds):
        """This statement by `pgbench`: transactions in a second, and milliseconds of one."""
        script = self.scratch / "statement.sql"
        script.write_text(sql)
        out = self.run("pgbench", "-n", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", str(script), name)
        rate, latency = re.search(r"tps = ([\d.]+)", out), re.search(r"latency average = ([\d.]+)", out)
        return float(rate.group(1)), float(latency.group(1))

    def processor(self, name):
        """Seconds of processor time of all its processes, those that have ended included, but not of connections to other databases than
        this one."""
        total = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            process = int(stat.parent.name)
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if self.postmaster not in (process, int(fields[1])):
                    continue
                connected = re.match(rb"postgres: \w+ (bench\d+) ", (stat.parent / "cmdline").read_bytes())
                if not connected or connected[1].decode() == name:
                    total += processor(process)
            except OSError:
                # It has ended, and counts for the postmaster.
                continue
            if process == self.postmaster:
                total += sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")
        return total

    def end(self):
        self.shell.communicate()


class Servers:
    """Servers of one new database, and one with files of its own."""

    def __init__(self, skein, database, folder, nodes, files=False):
        self.database, self.name, self.nodes = database, database.create(), []
        self.files = Server(skein, f"{folder}/{self.name}-files") if files else None
        for number in range(nodes):
            self.nodes.append(Server(skein, f"{folder}/{self.name}-{number}"))
        store = f'[store]\nurl = "postgres://rows@/{self.name}?host={database.socket}"\n'
        try:
            if self.files:
                self.files.serve()
            for number, node in enumerate(self.nodes):
                node.serve(store + f'[cluster]\nnode_name = "node-{number}"\n')
            self.until_observed()
        except BaseException:
            self.end()
            raise

    def until_observed(self):
        late = time.monotonic() + 60 + 2 * len(self.nodes)
        for node in self.nodes:
            client = RawClient(node.url)
            while f'"observed":{len(self.nodes) - 1},'.encode() not in client.request("skein/status", {}):
                if time.monotonic() > late:
                    sys.exit("cluster: the servers do not observe each other")
                time.sleep(0.1)

    def processor(self):
        return sum(node.processor() for node in self.nodes) + self.database.processor(self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        servers = [server for server in (*self.nodes, self.files) if server and hasattr(server, "process")]
        for server in servers:
            server.process.terminate()
        for server in servers:
            try:
                server.process.wait(30)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
        self.database.drop(self.name)
