"""A PostgreSQL and its servers under measurement."""

import os, pathlib, re, subprocess, sys, time

from served import RawClient, Server


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

    def run(self, program, *arguments, **options):
        command = [f"{self.programs}/{program}", "-h", self.socket, "-U", "skein", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, **options)
        if done.returncode:
            sys.exit(f"cluster: {program}: {done.stderr}")
        return done.stdout

    def create(self):
        """A new database with Skein's tables: its name."""
        self.count += 1
        self.run("createdb", "-T", "skein_template", f"bench{self.count}")
        return f"bench{self.count}"

    def sql(self, name, sql):
        return self.run("psql", "-qAt", "-v", "ON_ERROR_STOP=1", name, input=sql).strip()

    def bench(self, name, sql, clients, seconds):
        """This statement by `pgbench`: transactions in a second, and milliseconds of one."""
        script = self.scratch / "statement.sql"
        script.write_text(sql)
        out = self.run("pgbench", "-n", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", str(script), name)
        rate, latency = re.search(r"tps = ([\d.]+)", out), re.search(r"latency average = ([\d.]+)", out)
        return float(rate.group(1)), float(latency.group(1))

    def processor(self):
        """Seconds of processor time of all its processes, those that have ended included."""
        total = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            own, waited = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
            if int(stat.parent.name) == self.postmaster:
                total += own + waited
            elif int(fields[1]) == self.postmaster:
                total += own
        return total / os.sysconf("SC_CLK_TCK")

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
        late = time.monotonic() + 60
        for node in self.nodes:
            client = RawClient(node.url)
            while f'"observed":{len(self.nodes) - 1},'.encode() not in client.request("skein/status", {}):
                if time.monotonic() > late:
                    sys.exit("cluster: the servers do not observe each other")
                time.sleep(0.1)

    def processor(self):
        return sum(node.processor() for node in self.nodes) + self.database.processor()

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
