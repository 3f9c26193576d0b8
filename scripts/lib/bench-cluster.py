"""Measures servers of one PostgreSQL: what they cost beside files, beside plain statements, and beside each other.

Everything talks to loopback or to the database's socket, and ends with the script. A ratio is the median of the ratios of the rounds."""

import argparse, json, multiprocessing, random, re, select, statistics, sys, tempfile, time

from cluster import Database, Servers
from served import RawClient

WORKERS, BYTES, RECEIVERS = 8, 1000, 50
TEXT = "x" * BYTES
INJECTED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}


def ratio(ones, others):
    return statistics.median(one / other for one, other in zip(ones, others))


# Each worker is a process with one connection.


def append(url, threads, ready, begin, seconds, done):
    """Appends to threads of its own, to all of them at once, and again when all are acknowledged."""
    client = RawClient(url)
    ids = [client.new_thread() for _ in range(threads)]
    for thread in ids:
        client.turn(thread, "begin")
    ready.release()
    begin.wait()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for thread in ids:
            client.send("thread/inject_items", {"threadId": thread, "items": [INJECTED]})
        missing, tail = len(ids), b""
        while missing:
            received = tail + client.socket.recv(1 << 20)
            if b'"id":1,"error"' in received or received == tail:
                sys.exit("bench-cluster: an append is refused")
            missing -= received.count(b'"id":1,"result"')
            # A mark may come in two parts.
            tail = received[-len(b'"id":1,"result"') + 1 :]
        done.value += len(ids)
    client.socket.close()


def appended(url, threads, seconds):
    """Acknowledged appends in a second, to so many threads at once."""
    ready, begin, workers = multiprocessing.Semaphore(0), multiprocessing.Event(), []
    for _ in range(WORKERS):
        done = multiprocessing.Value("q", 0)
        process = multiprocessing.Process(target=append, args=(url, threads // WORKERS, ready, begin, seconds, done), daemon=True)
        process.start()
        workers.append((process, done))
    for _ in workers:
        if not ready.acquire(timeout=120):
            sys.exit("bench-cluster: a worker does not begin")
    began = time.perf_counter()
    begin.set()
    for process, _ in workers:
        process.join()
        if process.exitcode:
            sys.exit("bench-cluster: a worker has failed")
    return sum(done.value for _, done in workers) / (time.perf_counter() - began)


def appends(skein, database, folder, given):
    sizes = (8, 256)
    with Servers(skein, database, folder, 1) as servers:
        database.sql(servers.name, "create table plain (id bigserial primary key, line bytea)")
        rates = {size: [] for size in ("plain", *sizes)}
        for _ in range(given.rounds):
            rates["plain"].append(database.bench(servers.name, f"insert into plain (line) values (repeat('x', {BYTES})::bytea)", 8, given.seconds)[0])
            for size in sizes:
                rates[size].append(appended(servers.nodes[0].url, size, given.seconds))
    yield "plain inserts of 1 kB, 8 clients", statistics.median(rates["plain"]), "/s", None
    for size, of, goal in zip(sizes, ("8 threads", "256 threads"), (">= 0.5", ">= 2.0")):
        yield f"acknowledged appends of 1 kB, {of}", statistics.median(rates[size]), "/s", (ratio(rates[size], rates["plain"]), "plain inserts", goal)


def drained(client):
    """The client, without the messages that others have caused."""
    client.socket.settimeout(0.05)
    try:
        while client.socket.recv(1 << 20):
            pass
    except TimeoutError:
        client.socket.settimeout(60)
    return client


def answered(client, thread):
    """Milliseconds to the answer of a `turn/start`; the turn has ended then."""
    began = time.perf_counter()
    client.send("turn/start", {"threadId": thread, "input": [{"type": "text", "text": TEXT}]})
    received = client.receive(b'"id":1,')
    took = 1000 * (time.perf_counter() - began)
    if b'"status":"completed"' not in received:
        client.receive(b'"status":"completed"')
    return took


def resumed(url, thread):
    client = RawClient(url)
    client.request("thread/resume", {"threadId": thread, "excludeTurns": True})
    return client


def answers(skein, database, folder, given):
    with Servers(skein, database, folder, 2, files=True) as servers:
        database.sql(servers.name, "create table plain (id bigserial primary key, line bytea)")
        owner, other = servers.nodes
        files, local = RawClient(servers.files.url), RawClient(owner.url)
        of_files, thread = files.new_thread(), local.new_thread()
        files.turn(of_files, "begin")
        local.turn(thread, "begin")
        ways = {"files": (files, of_files), "local": (local, thread), "other": (resumed(other.url, thread), thread)}
        times, sums = {way: [] for way in ways}, []
        for _ in range(given.rounds):
            insert = database.bench(servers.name, f"insert into plain (line) values (repeat('x', {BYTES})::bytea)", 1, given.seconds)[1]
            for way, (client, at) in ways.items():
                drained(client)
                times[way].append(statistics.median(answered(client, at) for _ in range(20)))
            sums.append(times["files"][-1] + 2 * insert)
    yield "answer to turn/start, files", statistics.median(times["files"]), "ms", None
    yield "answer to turn/start, at the thread's server", statistics.median(times["local"]), "ms", (ratio(times["local"], sums), "files + 2 plain inserts", "<= 1.2")
    yield "answer to turn/start, at another server", statistics.median(times["other"]), "ms", (ratio(times["other"], sums), "files + 2 plain inserts", "<= 1.5")


FILL = """with seed as (select * from threads limit 1), new as materialized (
  select n, gen_random_uuid() as id, '/projects/' || n % 100 as cwd from generate_series(1, {count}) as n
)
insert into threads (thread, as_of, "row", created, updated, archived, cwd, provider, originator, interactive)
select id, as_of, replace(replace(replace(replace("row"::text, thread::text, id::text), '"created":' || created, '"created":' || created - n * 1000),
    '"updated":' || updated, '"updated":' || updated - n * 1000), '"cwd":"' || seed.cwd || '"', '"cwd":"' || new.cwd || '"')::json,
  created - n * 1000, updated - n * 1000, archived, new.cwd, provider, originator, interactive from seed, new;
insert into heads (thread, term, seq, header, open) select thread, 1, as_of, as_of, false from threads on conflict do nothing;
analyze;
"""
PAGE = 'select "row"::text from threads where not archived {filter} order by archived desc, {key} desc, thread desc limit 26'


def lists(skein, database, folder, given):
    with Servers(skein, database, folder, 1) as servers:
        client = RawClient(servers.nodes[0].url)
        client.turn(client.new_thread(), "hello")
        database.sql(servers.name, FILL.format(count=given.threads))
        # Its checkpoint and the cleaning of the tables would be a load beside some rounds.
        database.sql(servers.name, "vacuum threads; checkpoint;")
        cursor = None
        for _ in range(min(999, given.threads // 25 - 1)):
            answer = client.request("thread/list", {"limit": 25, "cursor": cursor})
            cursor = re.search(rb'"nextCursor":"([^"]+)"', answer).group(1).decode()
        page = min(999, given.threads // 25 - 1)
        behind = database.sql(servers.name, f"select created || ',' || quote_literal(thread) from threads order by archived desc, created desc, thread desc offset {25 * page} limit 1")
        asked = [
            ("first page", {}, PAGE.format(filter="", key="created")),
            ("1,000th page", {"cursor": cursor}, PAGE.format(filter=f"and (archived, created, thread) <= (false, {behind})", key="created")),
            ("first page by time of change", {"sortKey": "updated_at"}, PAGE.format(filter="", key="updated")),
            ("first page of a folder", {"cwd": "/projects/7", "sortKey": "updated_at"}, PAGE.format(filter="and cwd = '/projects/7'", key="updated")),
            ("first page of a provider", {"modelProviders": ["echo"]}, PAGE.format(filter="and provider = 'echo'", key="created")),
        ]
        for name, params, sql in asked:
            pages, plain, all_pages = [], [], []
            for _ in range(given.rounds):
                plain.append(database.bench(servers.name, sql, 1, given.seconds)[1])
                end, times = time.perf_counter() + given.seconds, []
                while time.perf_counter() < end:
                    began = time.perf_counter()
                    client.request("thread/list", {"limit": 25, **params})
                    times.append(1000 * (time.perf_counter() - began))
                pages.append(statistics.median(times))
                all_pages += times
            last = statistics.quantiles(all_pages, n=100)[98]
            yield f"thread/list of {given.threads:,} threads, {name}", statistics.median(pages), "ms", (ratio(pages, plain), "the bare select", "<= 2")
            yield f"  99th percentile of {len(all_pages):,}", last, "ms", None


def resume(skein, database, folder, given):
    with Servers(skein, database, folder, 1) as servers:
        client, threads = RawClient(servers.nodes[0].url), {}
        for size in (10, given.large):
            threads[size] = client.new_thread()
            for _ in range(size):
                client.turn(threads[size], "/stream 1000 1000")
        times = {size: [] for size in threads}
        # The first round warms the database's memory.
        for round in range(given.rounds + 1):
            for size, thread in threads.items():
                client.send("thread/unsubscribe", {"threadId": thread})
                client.receive(b'"method":"thread/closed"')
                began = time.perf_counter()
                client.request("thread/resume", {"threadId": thread})
                if round:
                    times[size].append(1000 * (time.perf_counter() - began))
    yield "cold thread/resume, thread of 10 MB", statistics.median(times[10]), "ms", None
    yield f"cold thread/resume, thread of {given.large} MB", statistics.median(times[given.large]), "ms", (ratio(times[given.large], times[10]), "10 MB", "<= 1.3")


def follow(url, thread, ready, stop):
    """Reads what so many clients get, until `stop`."""
    poll, sockets = select.epoll(), {}
    for _ in range(RECEIVERS):
        link = resumed(url, thread).socket
        link.setblocking(False)
        sockets[link.fileno()] = link
        poll.register(link, select.EPOLLIN)
    ready.release()
    while not stop.is_set():
        for descriptor, _ in poll.poll(0.2):
            try:
                if not sockets[descriptor].recv(1 << 20):
                    sys.exit("bench-cluster: a receiver was closed")
            except BlockingIOError:
                pass


def deltas(skein, database, folder, given):
    with Servers(skein, database, folder, 2) as servers:
        owner, other = servers.nodes
        source, used = RawClient(owner.url), {"owner": [], "other": []}
        thread = source.new_thread()
        source.turn(thread, "begin")
        for _ in range(given.rounds):
            for place, server in (("owner", owner), ("other", other)):
                ready, stop = multiprocessing.Semaphore(0), multiprocessing.Event()
                process = multiprocessing.Process(target=follow, args=(server.url, thread, ready, stop), daemon=True)
                process.start()
                if not ready.acquire(timeout=120):
                    sys.exit("bench-cluster: the receivers do not begin")
                before = owner.processor() + other.processor()
                # Slowly, so that each delta goes on its own.
                source.turn(thread, f"/stream {500 * given.seconds} 20 500")
                used[place].append(1e6 * (owner.processor() + other.processor() - before) / (500 * given.seconds))
                stop.set()
                process.join()
                if process.exitcode:
                    sys.exit("bench-cluster: a receiver was closed")
    yield f"a delta to {RECEIVERS} receivers at the thread's server", statistics.median(used["owner"]), "us of processors", None
    yield f"a delta to {RECEIVERS} receivers at another server", statistics.median(used["other"]), "us of processors", (ratio(used["other"], used["owner"]), "at the thread's server", "<= 1.5")


def turns(skein, database, folder, given):
    count, results = 40 * given.seconds, {}
    for nodes in (1, 2, 3):
        with Servers(skein, database, folder, nodes) as servers:
            clients = [RawClient(node.url) for node in servers.nodes]
            threads = []
            for number in range(6):
                client = clients[number % nodes]
                threads.append(client.new_thread())
                client.turn(threads[-1], "begin")
                for another in clients:
                    if another is not client:
                        another.request("thread/resume", {"threadId": threads[-1], "excludeTurns": True})
            results[nodes] = []
            for _ in range(given.rounds):
                before = servers.processor()
                for _ in range(count):
                    answered(drained_at_once(random.choice(clients)), random.choice(threads))
                results[nodes].append(1000 * (servers.processor() - before) / count)
    for nodes, goal in ((1, ""), (2, "<= 1.3"), (3, "<= 1.5")):
        of = (ratio(results[nodes], results[1]), "one server", goal) if nodes > 1 else None
        yield f"a turn, requests at any of {nodes}", statistics.median(results[nodes]), "ms of processors, database included", of


def drained_at_once(client):
    """The client, without the messages that are here."""
    client.socket.setblocking(False)
    try:
        while client.socket.recv(1 << 20):
            pass
    except BlockingIOError:
        client.socket.settimeout(60)
    return client


def idle(skein, database, folder, given):
    transactions = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
    threads = 2000
    with Servers(skein, database, folder, 2) as servers:
        # Idle connections report their counts to the database within 10 s.
        time.sleep(12)
        before, began = int(database.sql(servers.name, transactions)), time.perf_counter()
        time.sleep(30)
        found, took = int(database.sql(servers.name, transactions)) - before, time.perf_counter() - began
        yield "an idle server among two", found / took / len(servers.nodes), "transactions/s", (found / took / len(servers.nodes) / 1.5, "1.5/s", "<= 1")
        owner, other = servers.nodes
        clients = [RawClient(owner.url) for _ in range(4)]
        started = lambda count: [client.turn(client.new_thread(), "begin") for client in clients for _ in range(count // 4)]
        # What the first ones take is taken once.
        started(threads // 4)
        before = other.resident()
        started(threads)
        yield "a thread that another server has loaded", 1024**2 * (other.resident() - before) / threads, "bytes resident", None


def beats(skein, database, folder, given):
    """What idle servers cost: each beats once a second, and observes every other one."""
    for count in sorted({1, 4, given.servers}):
        with Servers(skein, database, folder, count) as servers:
            # Idle connections report their counts within 10 s.
            time.sleep(12)
            used = lambda: (database.processor(), sum(node.processor() for node in servers.nodes), time.perf_counter())
            before = used()
            time.sleep(30)
            of_database, of_servers, took = (after - first for first, after in zip(before, used()))
            for name, seconds in (("the database", of_database / count), ("one of them", of_servers / count)):
                yield f"{count} idle servers: {name}, for each server", 1000 * seconds / took, "ms of processor/s", None


def news(skein, database, folder, given):
    """What the turns of one server cost the others, each of which reads the rows that have changed."""
    turns, costs, most = 400, {}, max(2, given.servers)
    for count in (1, most):
        with Servers(skein, database, folder, count) as servers:
            clients = [RawClient(servers.nodes[0].url) for _ in range(WORKERS)]
            threads = [client.new_thread() for client in clients]
            used = lambda: (database.processor(), sum(node.processor() for node in servers.nodes[1:]))
            first, began = used(), time.perf_counter()
            for number in range(turns):
                answered(drained_at_once(clients[number % WORKERS]), threads[number % WORKERS])
            played = used()
            # As long without a turn: what the servers cost at rest is taken off.
            time.sleep(time.perf_counter() - began)
            rest = used()
            costs[count] = [1000 * (2 * played - first - rest) / turns for first, played, rest in zip(first, played, rest)]
    (alone, _), (database_used, servers_used) = costs[1], costs[most]
    others = most - 1
    yield "a turn of one server alone: the database", alone, "ms of a processor", None
    yield f"a turn beside {others} idle servers: the database, for each of them", (database_used - alone) / others, "ms of a processor", None
    yield f"a turn beside {others} idle servers: one of them", servers_used / others, "ms of a processor", None


def failover(skein, database, folder, given):
    """From a `kill -9` of a server with running turns until another one has closed them all."""
    with Servers(skein, database, folder, 2) as servers:
        owner, other = servers.nodes
        # A connection has a limit of subscriptions.
        clients = [RawClient(owner.url) for _ in range(WORKERS)]
        for number in range(given.open):
            client = clients[number % WORKERS]
            # One piece a second, for longer than the measurement.
            text = [{"type": "text", "text": "/stream 100000 8 1"}]
            client.request("turn/start", {"threadId": client.new_thread(), "input": text})
        left = lambda: int(database.sql(servers.name, "select count(*) from heads where open"))
        running = len(re.findall(rb'"type":"active"', RawClient(owner.url).request("thread/loaded/list", {"limit": given.open})))
        if (left(), running) != (given.open, given.open):
            sys.exit(f"bench-cluster: {running} of {given.open} turns run, and {left()} threads are open")
        before, began = other.processor(), time.perf_counter()
        late = began + 300
        owner.process.kill()
        owner.process.wait()
        first = None
        while (now := left()) and time.perf_counter() < late:
            first = first or (time.perf_counter() - began if now < given.open else None)
            time.sleep(0.05)
        took = time.perf_counter() - began
        if now:
            sys.exit(f"bench-cluster: {now} of {given.open} threads are open after {took:.0f} s")
        first = first or took
        yield "after a kill -9: the first of its turns is closed", first, "s", None
        yield f"after that: the other {given.open - 1:,}", took - first, "s", None
        yield "one of them", 1000 * (other.processor() - before) / given.open, "ms of a processor of the other server", None


SIZES = """select sum(pg_table_size(c.oid)) filter (where {which}) || ' ' || sum(pg_indexes_size(c.oid)) filter (where {which}) || ' '
  || pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace"""


def sizes(skein, database, folder, given):
    """Bytes of tables, of their indexes and of the log."""
    threads, records = 400, 50
    with Servers(skein, database, folder, 1) as servers:
        client = RawClient(servers.nodes[0].url)
        of_records, of_rows = (SIZES.format(which=f"c.relname {word} 'records%'") for word in ("like", "not like"))
        measured = lambda which: list(map(int, database.sql(servers.name, which).split()))
        client.turn(client.new_thread(), "begin")
        before = measured(of_rows)
        ids = [client.new_thread() for _ in range(threads)]
        for thread in ids:
            client.turn(thread, "begin")
        database.sql(servers.name, "vacuum")
        rows = [(after - first) / threads for first, after in zip(before, measured(of_rows))]
        before = measured(of_records)
        for _ in range(records):
            for thread in ids:
                client.request("thread/inject_items", {"threadId": thread, "items": [INJECTED]})
        appended = [(after - first) / threads / records for first, after in zip(before, measured(of_records))]
    for name, figures in (("a thread without its records", rows), ("a record of 1 kB", appended)):
        for part, figure in zip(("tables", "indexes", "the log"), figures):
            if (name, part) != ("a thread without its records", "the log"):
                yield f"{name}, bytes in {part}", figure, "bytes", None


FIGURES = [appends, answers, lists, resume, deltas, turns, idle, beats, news, failover, sizes]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(figure.__name__ for figure in FIGURES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=256)
    parser.add_argument("--servers", type=int, default=16)
    parser.add_argument("--open", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("binary")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := set(wanted) - {figure.__name__ for figure in FIGURES}:
        sys.exit(f"bench-cluster: no figure is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        database, found = Database(given.binary, folder), []
        try:
            if not given.json:
                print(f"medians of {given.rounds} rounds\n{'':70} {'figure':>10} {'unit':<34} {'ratio':>6}  to, goal")
            for figure in FIGURES:
                if figure.__name__ not in wanted:
                    continue
                for name, value, unit, compared in figure(given.binary, database, folder, given):
                    found.append({"name": name.strip(), "figure": value, "unit": unit, "ratio": compared and compared[0], "to": compared and compared[1], "goal": compared and compared[2]})
                    if not given.json:
                        of = f"{compared[0]:6.2f}  {compared[1]}, {compared[2]}" if compared else ""
                        print(f"{name:70} {value:10.2f} {unit:<34} {of}".rstrip(), flush=True)
        finally:
            database.end()
    if given.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
