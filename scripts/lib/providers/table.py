"""Turns of a real server with models behind LiteLLM's proxy, and with a provider that fails on purpose, by all three
interfaces. Prints a table; exit code 1 if a cell is wrong, or a process is left.

usage: python3 table.py SKEIN MCP-HELPER LITELLM      (programs; `websockets` must be importable)"""

import ctypes, json, os, pathlib, signal, subprocess, sys, tempfile, time, urllib.request

import websockets.sync.client

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_port

SKEIN, HELPER, LITELLM = sys.argv[1:4]
FORMS = ("responses", "chat", "anthropic")
HERE = pathlib.Path(__file__).parent
HELLO = "Grüß dich, Wörld 🌍!"
LIMIT = 60  # limit of one turn, seconds
MASTER = "sk-" + "0123456789abcdef" * 2
PR_SET_CHILD_SUBREAPER = 36


STARTED = []  # name, process, whether it must exit with 0


def start(what, command, well=False, **more):
    """Starts a program, which `end_all` ends in any case."""
    process = subprocess.Popen(command, **more)
    STARTED.append((what, process, well))
    return process


def end_all():
    """Terminates all programs, and kills those that do not exit. Returns the problems."""
    wrong = []
    for _, process, _ in reversed(STARTED):
        process.send_signal(signal.SIGTERM)
    for what, process, well in reversed(STARTED):
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            wrong.append(f"{what} did not end within 30 s")
        if well and process.returncode != 0:
            wrong.append(f"{what} has ended with {process.returncode}")
    return wrong


def wait_for(what, ready, process):
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{what} has ended with {process.returncode}")
        try:
            if answer := ready():
                return answer
        except (OSError, ValueError):
            pass
        time.sleep(0.1)
    sys.exit(f"{what} was not ready within 120 s")


def get(url):
    return urllib.request.urlopen(url, timeout=5).read()


def start_upstream(work):
    port = work / "port"
    process = start("the provider", [sys.executable, HERE / "upstream.py", port])
    return wait_for("the provider", lambda: int(port.read_text()), process)


def start_litellm(work, upstream):
    """Models that the proxy makes up itself (mock-*), and all of the provider's."""
    port, file = free_port(), work / "litellm.json"
    models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "none", **more}} for name, more in (
        ("mock-hello", {"mock_response": HELLO}),
        ("mock-429", {"mock_response": "litellm.RateLimitError"}),
        ("mock-500", {"mock_response": "litellm.InternalServerError"}),
        ("mock-context", {"mock_response": "litellm.ContextWindowExceededError"}),
    )]
    for name in ("hello", "tools", "e400", "e401", "e429", "e500", "cut", "stall", "garbage", "split"):
        at = {"model": f"hosted_vllm/{name}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
        models.append({"model_name": name, "litellm_params": at})
    settings = {"num_retries": 0, "drop_params": True, "telemetry": False}
    general = {"master_key": MASTER}
    file.write_text(json.dumps({"model_list": models, "litellm_settings": settings, "router_settings": {"num_retries": 0, "disable_cooldowns": True}, "general_settings": general}, ensure_ascii=False))  # the proxy reads it as YAML
    log = (work / "litellm.log").open("w")
    command = [LITELLM, "--config", file, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
    process = start("LiteLLM's proxy", command, stdout=log, stderr=log, env=environment, cwd=work)
    wait_for("LiteLLM's proxy", lambda: get(f"http://127.0.0.1:{port}/health/liveliness"), process)
    return port


class Server:
    """`skein serve` with a provider for each interface of both, with names such as litellm-chat."""

    def __init__(self, work, upstream, litellm):
        home = work / "home"
        home.mkdir()
        settings = 'model = "hello"\nmodel_provider = "fake-chat"\n'
        settings += f'[mcp_servers.helper]\ncommand = "{HELPER}"\n'
        for form in FORMS:
            for name, port, key in (("fake", upstream, "GOOD_KEY"), ("litellm", litellm, "GOOD_KEY"), ("keyless", upstream, None), ("none", upstream, "NO_KEY")):
                settings += f'[model_providers.{name}-{form}]\nbase_url = "http://127.0.0.1:{port}/v1"\nwire_api = "{form}"\n'
                settings += f'env_key = "{key}"\n' if key else ""
                settings += 'request_max_retries = 2\nstream_max_retries = 2\nstream_idle_timeout_ms = 1500\nmodels = ["hello"]\n'
        (home / "config.toml").write_text(settings)
        environment = {**os.environ, "GOOD_KEY": MASTER}
        self.log = work / "skein.log"
        with self.log.open("w") as log:
            command = [SKEIN, "serve", "--home", home, "--listen", "ws://127.0.0.1:0"]
            process = start("the server", command, well=True, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        said = process.stdout.readline()
        if not said:
            sys.exit(f"the server did not start: {self.log.read_text().strip()[-2000:]}")
        self.ws = websockets.sync.client.connect(json.loads(said)["address"])
        self.last = 0
        self.call("initialize", {"clientInfo": {"name": "providers", "version": "1"}})

    def call(self, method, params):
        self.last += 1
        self.ws.send(json.dumps({"id": self.last, "method": method, "params": params}))
        while True:
            message = json.loads(self.ws.recv(timeout=LIMIT))
            if message.get("id") == self.last and "method" not in message:
                if "error" in message:
                    raise RuntimeError(message["error"])
                return message["result"]

    def turn(self, provider, model):
        """The result of a turn: its text, its items, its tokens, its error."""
        thread = self.call("thread/start", {"modelProvider": provider, "model": model, "approvalPolicy": "never"})["thread"]["id"]
        self.call("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "hello"}]})
        turn = {"deltas": 0, "texts": [], "calls": [], "usage": None}
        while True:
            message = json.loads(self.ws.recv(timeout=LIMIT))
            method, params = message.get("method"), message.get("params", {})
            if params.get("threadId") != thread:
                continue
            if method == "item/agentMessage/delta":
                turn["deltas"] += 1
            elif method == "item/completed" and params["item"]["type"] == "agentMessage":
                turn["texts"].append(params["item"]["text"])
            elif method == "item/completed" and params["item"]["type"] == "mcpToolCall":
                turn["calls"].append(json.dumps(params["item"]))
            elif method == "thread/tokenUsage/updated":
                turn["usage"] = params["tokenUsage"]["last"]
            elif method == "turn/completed":
                self.call("thread/unsubscribe", {"threadId": thread})
                error = params["turn"].get("error") or {}
                return {**turn, "status": params["turn"]["status"], "error": error.get("message", ""), "info": json.dumps(error.get("codexErrorInfo"))}


def says_hello(turn):
    return turn["status"] == "completed" and turn["texts"][-1:] == [HELLO] or "no hello"


def streams(turn):
    return says_hello(turn) if turn["deltas"] >= 3 else "in one piece"


def calls(turn):
    return says_hello(turn) if any("ping-pong" in call for call in turn["calls"]) else "no call"


def counts(turn):
    usage = turn["usage"] or {}
    got = (usage.get("inputTokens"), usage.get("cachedInputTokens"), usage.get("outputTokens"))
    return got == (75, 32, 12) or f"counted {got}"


def fails(*words):
    def check(turn):
        said = turn["error"] + " " + turn["info"]
        missing = [word for word in words if word not in said]
        if MASTER in said:
            return "a key is shown"
        return turn["status"] == "failed" and not missing or f"no {missing}"

    return check


# LiteLLM streams its own mock answers only as Chat Completions, and its own errors not as Responses.
ROWS = (  # label; provider; model; check; the interfaces that support it, if not all do
    ("LiteLLM, its own text", "litellm", "mock-hello", streams, ("chat",)),
    ("LiteLLM, streaming", "litellm", "hello", streams),
    ("LiteLLM, a tool call", "litellm", "tools", calls),
    ("LiteLLM, usage", "litellm", "hello", counts),
    ("LiteLLM, bytes one by one", "litellm", "split", says_hello),
    ("LiteLLM, 400 no such model", "litellm", "nobody", fails("nobody")),
    ("LiteLLM, 400 of a provider", "litellm", "e400", fails("400")),
    ("LiteLLM, 401 of a provider", "litellm", "e401", fails("GOOD_KEY", "401", "unauthorized")),
    ("LiteLLM, 429 again and again", "litellm", "mock-429", fails("429", "rateLimitExceeded"), ("chat", "anthropic")),
    ("LiteLLM, 500 again and again", "litellm", "mock-500", fails("500", "tried again 4 times")),
    ("LiteLLM, context too long", "litellm", "mock-context", fails("contextWindowExceeded"), ("chat", "anthropic")),
    ("LiteLLM, 429 once", "litellm", "e429", says_hello),
    ("LiteLLM, 500 once", "litellm", "e500", says_hello),
    ("LiteLLM, cut once", "litellm", "cut", says_hello),
    ("LiteLLM, stalled once", "litellm", "stall", says_hello),
    ("LiteLLM, garbage once", "litellm", "garbage", says_hello),
    ("no key", "none", "hello", fails("NO_KEY is not set", "unauthorized")),
    ("streaming", "fake", "hello", streams),
    ("a tool call", "fake", "tools", calls),
    ("usage", "fake", "hello", counts),
    ("bytes one by one", "fake", "split", streams),
    ("400", "fake", "e400", fails("400", "badRequest")),
    ("401", "fake", "e401", fails("GOOD_KEY", "unauthorized")),
    ("401 without a key", "keyless", "e401", fails("keyless-", "env_key", "unauthorized")),
    ("429, Retry-After", "fake", "e429", says_hello),
    ("500 once", "fake", "e500", says_hello),
    ("cut once", "fake", "cut", says_hello),
    ("stalled once", "fake", "stall", says_hello),
    ("garbage once", "fake", "garbage", says_hello),
)


def rows(server):
    wrong = 0
    print(f"{'':32}" + "".join(f"{form:>22}" for form in FORMS), flush=True)
    for name, provider, model, check, *forms in ROWS:
        cells = []
        for form in FORMS:
            if forms and form not in forms[0]:
                cells.append("-")
                continue
            began = time.monotonic()
            try:
                turn = server.turn(f"{provider}-{form}", model)
                said = check(turn)
            except (TimeoutError, RuntimeError) as error:
                turn, said = {}, f"{error}"
            took = time.monotonic() - began
            cells.append(f"ok {took:.1f} s" if said is True else "WRONG")
            if said is not True:
                wrong += 1
                print(f"  {name}, {form}: {said}: {json.dumps(turn, ensure_ascii=False)[:800]}", file=sys.stderr)
        print(f"{name:32}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
    return wrong


def upstream_saw(upstream):
    """Skein kept the requested waits, and closed each stalled connection."""
    seen = json.loads(get(f"http://127.0.0.1:{upstream}/seen"))
    wrong = []
    moments = seen["retry_after"][-6:]
    waits = [then - now for now, then in zip(moments[::2], moments[1::2])]
    if len(waits) != 3 or min(waits) < 1:
        wrong.append(f"waited {waits} s where 1 s was asked for")
    stalls = sum(len(forms[0] if forms else FORMS) for _, _, model, _, *forms in ROWS if model == "stall")
    if seen["stalled"] != stalls or seen["closed"] != stalls:
        wrong.append(f"stalled and closed: {seen['stalled']}, {seen['closed']}; it should be {stalls}")
    return wrong


def lists(server):
    """The models of a provider are listed soon, and no request waits for them."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        models = [model["id"] for model in server.call("model/list", {"modelProvider": "fake-chat"})["data"]]
        if models == ["hello", "tools"]:
            return []
        time.sleep(0.1)
    return [f"model/list says {models}"]


def left():
    """Living processes that this script started."""
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [child for child in children if pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"]


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    problems = []
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        try:
            upstream = start_upstream(work)
            server = Server(work, upstream, start_litellm(work, upstream))
            wrong = rows(server)
            problems += upstream_saw(upstream) + lists(server)
            server.ws.close()
            problems += [f"the log has a key: {work}"] if MASTER in server.log.read_text() else []
        finally:
            problems += end_all()
            for child in left():
                problems.append(f"process {child} is left")
                os.kill(int(child), signal.SIGKILL)
            for problem in problems:
                print(f"  {problem}", file=sys.stderr)
    return 1 if wrong or problems else 0


sys.exit(main())
