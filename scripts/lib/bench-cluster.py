"""Measures servers of one PostgreSQL: what they cost beside files, beside plain statements, and beside each other.

Everything talks to loopback or to the database's socket, and ends with the script. A ratio is the median of the ratios of the rounds."""

import argparse, contextlib, json, math, multiprocessing, random, select, shutil, statistics, sys, tempfile, time

from cluster import Database, Servers, sent
from served import RawClient

WORKERS, BYTES, RECEIVERS = 8, 1000, 50
# Seconds until work in the background is over: threads whose client has left are unloaded, servers have read what others changed.
SETTLES = 3
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


def appended(servers, threads, seconds):
    """Acknowledged appends in a second, to so many threads at once, and transactions that write in a second."""
    ready, begin, workers = multiprocessing.Semaphore(0), multiprocessing.Event(), []
    # A connection may have 64 requests in flight.
    count = max(WORKERS, threads // 32)
    for _ in range(count):
        done = multiprocessing.Value("q", 0)
        process = multiprocessing.Process(target=append, args=(servers.nodes[0].url, threads // count, ready, begin, seconds, done), daemon=True)
        process.start()
        workers.append((process, done))
    for _ in workers:
        if not ready.acquire(timeout=120):
            sys.exit("bench-cluster: a worker does not begin")
    time.sleep(SETTLES)
    writes, began = servers.database.writes(), time.perf_counter()
    begin.set()
    for process, _ in workers:
        process.join()
        if process.exitcode:
            sys.exit("bench-cluster: a worker has failed")
    took = time.perf_counter() - began
    return sum(done.value for _, done in workers) / took, (servers.database.writes() - writes) / took


def appends(skein, database, folder, given):
    sizes = {8: ">= 0.5", 64: None, 256: ">= 2.0", 512: None}
    with Servers(skein, database, folder, 1) as servers:
        database.sql(servers.name, "create table plain (id bigserial primary key, line bytea)")
        plain, rates, writes = [], {size: [] for size in sizes}, {size: [] for size in sizes}
        for _ in range(given.rounds):
            time.sleep(SETTLES)
            plain.append(database.bench(servers.name, f"insert into plain (line) values (repeat('x', {BYTES})::bytea)", 8, given.seconds)[0])
            for size in sizes:
                rate, write = appended(servers, size, given.seconds)
                rates[size].append(rate)
                writes[size].append(write)
    yield "plain inserts of 1 kB, 8 clients", statistics.median(plain), "/s", None
    for size, goal in sizes.items():
        of = f"acknowledged appends of 1 kB, {size} threads"
        yield of, statistics.median(rates[size]), "/s", goal and (ratio(rates[size], plain), "plain inserts", goal)
        yield f"{of}: commits", statistics.median(writes[size]), "/s", None
        yield f"{of}: appends of a commit", ratio(rates[size], writes[size]), "", None


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
    received = client.request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": TEXT}]})
    took = 1000 * (time.perf_counter() - began)
    result, received = client.answer(received)
    # The end of an earlier turn may come first, if another client has started that.
    client.until(['"turn/completed"', f'"id":"{result["turn"]["id"]}"', '"status":"completed"'], received)
    return took


def resumed(url, thread):
    client = RawClient(url)
    client.result("thread/resume", {"threadId": thread, "excludeTurns": True})
    return client


def unload(client, thread):
    """Leaves a thread that nobody else follows. It is unloaded then."""
    # The answer may come behind the notification.
    received = client.request("thread/unsubscribe", {"threadId": thread})
    client.until(['"thread/closed"', thread], received)


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


# One thread in ten is archived, and one in twenty each has another client, another kind of client and a rare word.
FILL = """with seed as (select * from threads limit 1), new as materialized (
  select gen_random_uuid() as thread, seed.created - 1000::bigint * n as created, seed.updated - 1000::bigint * n as updated,
    n % 10 = 0 as archived, '/projects/' || n % 100 as cwd, case n % 20 when 1 then 'another' else seed.originator end as originator,
    case n % 20 when 3 then 'exec' else 'vscode' end as source, case n % 20 when 5 then 'a rare word' else 'hello' end as preview
  from generate_series(1, {count}) as n, seed
)
insert into threads (thread, as_of, "row", created, updated, archived, cwd, provider, originator, interactive)
select new.thread, as_of, ("row"::jsonb || jsonb_build_object('id', new.thread, 'created', new.created, 'updated', new.updated,
    'archived', new.archived, 'cwd', new.cwd, 'originator', new.originator, 'source', new.source, 'preview', new.preview))::json,
  new.created, new.updated, new.archived, new.cwd, provider, new.originator, new.source <> 'exec' from seed, new;
insert into heads (thread, term, seq, header, open, shelf) select thread, 1, as_of, as_of, false, archived::int from threads
  on conflict do nothing;
"""
SHOWN = "from threads where not archived and interactive"


def bare(where, key="created", direction="desc"):
    """The bare select of a page."""
    return f'select "row"::text from threads where {where} order by {key} {direction}, thread {direction} limit 26'


def lists(skein, database, folder, given):
    with Servers(skein, database, folder, 1) as servers:
        client = RawClient(servers.nodes[0].url)
        client.turn(client.new_thread(), "hello")
        database.sql(servers.name, FILL.format(count=given.threads))
        # The cleaning of the tables and the checkpoint would be a load beside some rounds.
        database.sql(servers.name, "vacuum analyze; checkpoint;")
        # The fill takes longer than a client may be silent.
        client = RawClient(servers.nodes[0].url)
        cursor, page = None, min(999, int(database.sql(servers.name, f"select count(*) {SHOWN}")) // 25 - 1)
        for _ in range(page):
            cursor = client.result("thread/list", {"limit": 25, "cursor": cursor})["nextCursor"]
        behind = database.sql(servers.name, f"select created || ',' || quote_literal(thread) {SHOWN} order by created desc, thread desc offset {25 * page} limit 1")
        newest = int(database.sql(servers.name, "select max(created) / 1000 from threads"))
        # The middle half, as the threads are a second apart.
        since, before = newest - 3 * given.threads // 4, newest - given.threads // 4
        shown = "not archived and interactive"
        asked = [
            ("first page", {}, bare(shown)),
            ("1,000th page", {"cursor": cursor}, bare(f"{shown} and (created, thread) <= ({behind})")),
            ("first page by time of change", {"sortKey": "updated_at"}, bare(shown, "updated")),
            ("first page, oldest first", {"sortDirection": "asc"}, bare(shown, direction="asc")),
            ("first page of the archived", {"archived": True}, bare("archived and interactive")),
            ("first page of a span", {"skein": {"createdSince": since, "createdBefore": before}}, bare(f"{shown} and created >= {since}000 and created < {before}000")),
            ("first page of a folder", {"cwd": "/projects/7", "sortKey": "updated_at"}, bare(f"{shown} and cwd = '/projects/7'", "updated")),
            ("first page of a provider", {"modelProviders": ["echo"]}, bare(f"{shown} and provider = 'echo'")),
            ("first page of a client, 1 in 20", {"originators": ["another"]}, bare(f"{shown} and originator = 'another'")),
            ("first page of a kind, 1 in 20", {"sourceKinds": ["exec"]}, bare("""not archived and "row"->>'source' = 'exec'""")),
            ("first page with a word, 1 in 20", {"searchTerm": "rare"}, bare(f"""{shown} and ("row"->>'name' ilike '%rare%' or "row"->>'preview' ilike '%rare%')""")),
        ]
        for name, params, sql in asked:
            of, pages, plain, all_pages = f"thread/list of {given.threads:,} threads, {name}", [], [], []
            if not client.result("thread/list", {"limit": 25, **params})["data"]:
                sys.exit(f"bench-cluster: {of}: nothing is found")
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
            yield of, statistics.median(pages), "ms", (ratio(pages, plain), "the bare select", "<= 2")
            yield f"  {name}: 99th percentile of {len(all_pages):,}", last, "ms", (last / 5, "5 ms", "< 1")


def resume(skein, database, folder, given):
    with Servers(skein, database, folder, 1) as servers:
        client, threads = RawClient(servers.nodes[0].url), {}
        for size in (10, given.large):
            threads[size] = client.new_thread()
            for _ in range(size):
                client.turn(threads[size], "/stream 1000 1000")
        # The checkpoint of all these bytes would be a load beside some rounds.
        database.sql(servers.name, "checkpoint")
        times = {size: [] for size in threads}
        # The first round warms the database's memory.
        for round in range(given.rounds + 1):
            for size, thread in threads.items():
                unload(client, thread)
                began = time.perf_counter()
                received = client.request("thread/resume", {"threadId": thread})
                took = 1000 * (time.perf_counter() - began)
                client.answer(received)
                if round:
                    times[size].append(took)
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
    if not shutil.which("ss"):
        sys.exit("bench-cluster: deltas needs ss (Debian: iproute2)")
    count = 500 * given.seconds
    with Servers(skein, database, folder, 2) as servers:
        owner, other = servers.nodes
        source, used, bytes_of = RawClient(owner.url), {"owner": [], "other": []}, {"owner": [], "other": []}
        thread = source.new_thread()
        source.turn(thread, "begin")
        for _ in range(given.rounds):
            for place, server in (("owner", owner), ("other", other)):
                ready, stop = multiprocessing.Semaphore(0), multiprocessing.Event()
                process = multiprocessing.Process(target=follow, args=(server.url, thread, ready, stop), daemon=True)
                process.start()
                if not ready.acquire(timeout=120):
                    sys.exit("bench-cluster: the receivers do not begin")
                sent_before, before = sent(owner), owner.processor() + other.processor()
                # Slowly, so that each delta goes on its own.
                source.turn(thread, f"/stream {count} 20 500")
                used[place].append(1e6 * (owner.processor() + other.processor() - before) / count)
                # The last receivers may still wait for the end.
                time.sleep(0.5)
                to_clients, to_servers = (after - first for first, after in zip(sent_before, sent(owner)))
                # The source receives, too.
                bytes_of[place].append(to_clients / (RECEIVERS + 1) / count if place == "owner" else to_servers / count)
                stop.set()
                process.join()
                if process.exitcode:
                    sys.exit("bench-cluster: a receiver was closed")
    yield f"a delta to {RECEIVERS} receivers at the thread's server", statistics.median(used["owner"]), "us of processors", None
    yield f"a delta to {RECEIVERS} receivers at another server", statistics.median(used["other"]), "us of processors", (ratio(used["other"], used["owner"]), "at the thread's server", "<= 1.5")
    yield "a delta to one receiver at the thread's server", statistics.median(bytes_of["owner"]), "bytes sent", None
    yield f"a delta to {RECEIVERS} receivers at another server", statistics.median(bytes_of["other"]), "bytes sent to that server", (ratio(bytes_of["other"], bytes_of["owner"]), "one receiver at the thread's server", "<= 1.2")


def turns(skein, database, folder, given):
    count, results = 40 * given.seconds, {1: [], 2: [], 3: []}
    with contextlib.ExitStack() as stack:
        clusters = {}
        for nodes in results:
            servers = stack.enter_context(Servers(skein, database, folder, nodes))
            clients, threads = [RawClient(node.url) for node in servers.nodes], []
            for number in range(6):
                client = clients[number % nodes]
                threads.append(client.new_thread())
                client.turn(threads[-1], "begin")
                for another in clients:
                    if another is not client:
                        another.result("thread/resume", {"threadId": threads[-1], "excludeTurns": True})
            clusters[nodes] = servers, clients, threads
        for _ in range(given.rounds):
            for nodes, (servers, clients, threads) in clusters.items():
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


def above_rest(work, used, clients):
    """What `work` takes of each figure of `used`, less what an equal time of rest takes."""
    first, began = used(), time.perf_counter()
    work()
    # What it leaves to others comes up to half a second later.
    time.sleep(SETTLES)
    worked, end = used(), 2 * time.perf_counter() - began
    while (left := end - time.perf_counter()) > 0:
        for client in clients:
            client.live()
        time.sleep(min(left, 20))
    return [2 * worked - first - rested for first, worked, rested in zip(first, worked, used())]


def claims(skein, database, folder, given):
    """What it costs to load a thread at any server, and to unload it again."""
    count, times = 1000, []
    with Servers(skein, database, folder, given.servers) as servers:
        client, threads = RawClient(servers.nodes[0].url), []
        for _ in range(500):
            threads.append(client.new_thread())
            client.turn(threads[-1], "begin")
            unload(client, threads[-1])
        clients = [RawClient(node.url) for node in servers.nodes]
        time.sleep(SETTLES)

        def work():
            for _ in range(count):
                client, thread = drained_at_once(random.choice(clients)), random.choice(threads)
                began = time.perf_counter()
                client.result("thread/resume", {"threadId": thread, "excludeTurns": True})
                unload(client, thread)
                times.append(1000 * (time.perf_counter() - began))

        (used,) = above_rest(work, lambda: [database.processor(servers.name)], clients)
    yield f"a load and an unload at any of {given.servers} servers", statistics.median(times), "ms", None
    yield f"a load and an unload at any of {given.servers} servers: the database", 1000 * used / count, "ms of a processor", None


def trimmed(server):
    """Resident memory of a server, in bytes, once it has given free memory back."""
    # It does so 5 s after the end of a connection.
    RawClient(server.url).socket.close()
    time.sleep(7)
    return 1024**2 * server.resident()


def idle(skein, database, folder, given):
    transactions = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
    warm_up, threads = 4000, 16000
    with Servers(skein, database, folder, 2) as servers:
        # Idle connections report their counts to the database within 10 s.
        time.sleep(12)
        before, began = int(database.sql(servers.name, transactions)), time.perf_counter()
        switches = [node.switches() for node in servers.nodes]
        time.sleep(30)
        woken = sum(now - first.get(task, 0) for node, first in zip(servers.nodes, switches) for task, now in node.switches().items())
        found, took = int(database.sql(servers.name, transactions)) - before, time.perf_counter() - began
        yield "an idle server among two", found / took / len(servers.nodes), "transactions/s", (found / took / len(servers.nodes) / 1.5, "1.5/s", "<= 1")
        yield "an idle server among two", woken / took / len(servers.nodes), "wake-ups/s", None
        owner, other = servers.nodes
        # A connection has a limit of subscriptions.
        clients = [RawClient(owner.url) for _ in range(24)]

        def start(numbers):
            for number in numbers:
                client = clients[number % len(clients)]
                client.turn(client.new_thread(), "begin")

        # The first ones fill what keeps a fixed number of changes.
        start(range(warm_up))
        before = trimmed(other)
        start(range(warm_up, warm_up + threads))
        resident = (trimmed(other) - before) / threads
        yield "a thread that another server has loaded", resident, "bytes resident", (resident / 200, "200 bytes", "<= 1")


def beats(skein, database, folder, given):
    """What idle servers cost: each beats once a second, and observes every other one."""
    for count in sorted({1, 4, given.servers}):
        with Servers(skein, database, folder, count) as servers:
            # Idle connections report their counts within 10 s.
            time.sleep(12)
            used = lambda: (database.processor(servers.name), sum(node.processor() for node in servers.nodes), time.perf_counter())
            before = used()
            time.sleep(30)
            of_database, of_servers, took = (after - first for first, after in zip(before, used()))
            for name, seconds in (("the database", of_database / count), ("one of them", of_servers / count)):
                yield f"{count} idle servers: {name}, for each server", 1000 * seconds / took, "ms of processor/s", None


def news(skein, database, folder, given):
    """What the turns of one server cost the others, each of which reads the rows that have changed."""
    # Turns that come closer are read by the others in one look.
    turns, pace, costs, most = 200, 0.3, {}, max(2, given.servers)
    for count in (1, most):
        with Servers(skein, database, folder, count) as servers:
            clients = [RawClient(servers.nodes[0].url) for _ in range(WORKERS)]
            threads = [client.new_thread() for client in clients]
            for client, thread in zip(clients, threads):
                client.turn(thread, "begin")
            time.sleep(SETTLES)

            def work():
                began = time.perf_counter()
                for number in range(turns):
                    answered(drained_at_once(clients[number % WORKERS]), threads[number % WORKERS])
                    time.sleep(max(0, began + pace * (number + 1) - time.perf_counter()))

            used = lambda: (database.processor(servers.name), sum(node.processor() for node in servers.nodes[1:]))
            rounds = [above_rest(work, used, clients) for _ in range(min(3, given.rounds))]
            costs[count] = [1000 * statistics.median(figures) / turns for figures in zip(*rounds)]
    (alone, _), (database_used, servers_used) = costs[1], costs[most]
    others = most - 1
    yield "a turn of one server alone: the database", alone, "ms of a processor", None
    yield f"a turn beside {others} idle servers: the database, for each of them", (database_used - alone) / others, "ms of a processor", None
    yield f"a turn beside {others} idle servers: one of them", servers_used / others, "ms of a processor", None


def failover(skein, database, folder, given):
    """From a `kill -9` of a server with running turns until another one has closed them all."""
    with Servers(skein, database, folder, 2) as servers, database.session(servers.name) as ask:
        owner, other = servers.nodes
        # A connection has a limit of subscriptions.
        clients = [RawClient(owner.url) for _ in range(max(WORKERS, math.ceil(given.open / 500)))]
        for number in range(given.open):
            client = clients[number % len(clients)]
            # One piece, and the next one after 500 s: each would be another append.
            text = [{"type": "text", "text": "/stream 100000 8 0.002"}]
            client.result("turn/start", {"threadId": client.new_thread(), "input": text})
        # The text of the last ones is saved within a second.
        time.sleep(SETTLES)
        left = lambda: int(ask("select count(*) from heads where open"))
        loaded = RawClient(owner.url).result("thread/loaded/list", {})["skein"]["threads"]
        running = sum(thread["status"]["type"] == "active" for thread in loaded)
        if (left(), running) != (given.open, given.open):
            sys.exit(f"bench-cluster: {running} of {given.open} turns run, and {left()} threads are open")
        used = lambda: (other.processor(), database.processor(servers.name))
        before, began = used(), time.perf_counter()
        late = began + max(300, 0.1 * given.open)
        owner.process.kill()
        owner.process.wait()
        first = None
        while (now := left()) and time.perf_counter() < late:
            first = first or (time.perf_counter() - began if now < given.open else None)
            time.sleep(0.5 if first else 0.05)
        took = time.perf_counter() - began
        if now:
            sys.exit(f"bench-cluster: {now} of {given.open} threads are open after {took:.0f} s")
        first = first or took
        of_server, of_database = (1000 * (after - earlier) / given.open for earlier, after in zip(before, used()))
        yield "after a kill -9: the first of its turns is closed", first, "s", None
        yield f"after that: the other {given.open - 1:,}", took - first, "s", None
        yield "one of them: the other server", of_server, "ms of a processor", None
        yield "one of them: the database", of_database, "ms of a processor", None


SIZES = """select sum(pg_table_size(c.oid)) filter (where {which}) || ' ' || sum(pg_indexes_size(c.oid)) filter (where {which}) || ' '
  || pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace"""


def sizes(skein, database, folder, given):
    """Bytes of tables, of their indexes and of the log."""
    threads, records = 2000, 10
    with Servers(skein, database, folder, 1) as servers:
        # A connection has a limit of subscriptions.
        clients, ids = [RawClient(servers.nodes[0].url) for _ in range(4)], []
        of_records, of_rows = (SIZES.format(which=f"c.relname {word} 'records%'") for word in ("like", "not like"))
        measured = lambda which: list(map(int, database.sql(servers.name, which).split()))
        clients[0].turn(clients[0].new_thread(), "begin")
        before = measured(of_rows)
        for number in range(threads):
            client = clients[number % len(clients)]
            ids.append((client, client.new_thread()))
            client.turn(ids[-1][1], "begin")
        time.sleep(SETTLES)
        log = measured(of_rows)[2]
        database.sql(servers.name, "vacuum")
        rows = [(after - first) / threads for first, after in zip(before, [*measured(of_rows)[:2], log])]
        before = measured(of_records)
        for _ in range(records):
            for client, thread in ids:
                client.result("thread/inject_items", {"threadId": thread, "items": [INJECTED]})
        appended = [(after - first) / threads / records for first, after in zip(before, measured(of_records))]
    parts = ("tables", "indexes", "the log")
    # The log of a thread has its first records, too.
    names = ("a thread without its records", "a thread without its records", "a thread with its first turn")
    for name, part, figure in (*zip(names, parts, rows), *(("a record of 1 kB", *found) for found in zip(parts, appended))):
        yield f"{name}, bytes in {part}", figure, "bytes", None


FIGURES = [appends, answers, lists, resume, deltas, turns, claims, idle, beats, news, failover, sizes]


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
        database = Database(given.binary, folder)
        try:
            if not given.json:
                print(f"medians of {given.rounds} rounds\n{'':70} {'figure':>10} {'unit':<34} {'ratio':>6}  to, goal")
            for figure in FIGURES:
                if figure.__name__ not in wanted:
                    continue
                # Each at once: a later one may fail.
                for name, value, unit, compared in figure(given.binary, database, folder, given):
                    if given.json:
                        of = zip(("ratio", "to", "goal"), compared or [None] * 3)
                        print(json.dumps({"name": name.strip(), "figure": value, "unit": unit, **dict(of)}), flush=True)
                    else:
                        of = f"{compared[0]:6.2f}  {compared[1]}, {compared[2]}" if compared else ""
                        print(f"{name:70} {value:10.2f} {unit:<34} {of}".rstrip(), flush=True)
        finally:
            database.end()


if __name__ == "__main__":
    main()
