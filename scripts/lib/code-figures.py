"""Figures about the source: lines of product code and of tests for each crate, the largest file, and the size of the thread's owner.

Tests are the files below `tests`, `testing` and `fuzz`, files named `tests.rs`, `conformance.rs` or `double.rs`, the crate
integration-tests, and in any other file the modules behind `#[cfg(test)]`. Lines are counted with comments and blank
lines."""

import argparse, json, re, subprocess, sys

TEST_PLACES = re.compile(r"(^|/)(tests|testing|fuzz)(/|\.rs$)|/(conformance|double|fake|played)\.rs$|/file/fault(/|\.rs$)|^integration-tests/|/(rollout|index)/memory\.rs$")
INLINE = re.compile(r"^#\[cfg\(test\)\]\n(?:#\[.*\n)*(?:pub(?:\(.*?\))? )?mod \w+ \{\n.*?^\}\n", re.M | re.S)
CRATES = ["app-server/crates/base", "app-server/crates/config", "app-server/crates/helpers", "app-server/crates/postgres", "app-server/crates/provider", "app-server/crates/store", "app-server/crates/turn", "app-server", "protocol", "integration-tests"]
OWNER = "app-server/src/thread/actor/"


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def sources(revision):
    """Path and text of every Rust file of the crates, in the checkout or in a commit."""
    if revision is None:
        paths = git("ls-files", "--cached", "--others", "--exclude-standard", "*.rs").split()
        texts = {}
        for path in paths:
            try:
                texts[path] = open(path, encoding="utf-8").read()
            except FileNotFoundError:
                continue
    else:
        paths = [path for path in git("ls-tree", "-r", "--name-only", revision).split() if path.endswith(".rs")]
        texts = {path: git("show", f"{revision}:{path}") for path in paths}
    return {path: text for path, text in texts.items() if crate(path)}


def unit(path):
    """The compilation unit of a file: a crate's library, or the program `skein`, which is separate from it."""
    program = path == "app-server/src/main.rs" or path.startswith("app-server/src/cli/")
    return "the program skein" if program else crate(path)


def crate(path):
    return next((name for name in CRATES if path.startswith(name + "/")), None)


def is_test(path):
    return bool(TEST_PLACES.search(path))


def split(path, text):
    """Lines of product code and lines of tests of a file."""
    whole = text.count("\n")
    if is_test(path):
        return 0, whole
    inline = sum(module.count("\n") for module in INLINE.findall(text))
    return whole - inline, inline


def owner(files):
    """Fields and methods of the owner, and matches on the machine's phase outside the machine."""
    own = {path: text for path, text in files.items() if path.startswith(OWNER) and not is_test(path)}
    fields, methods = 0, 0
    for text in own.values():
        for body in re.findall(r"^(?:pub(?:\(.*?\))? )?struct Owner \{\n(.*?)^\}", text, re.M | re.S):
            fields += len(re.findall(r"^    (?:pub(?:\(.*?\))? )?\w+: ", body, re.M))
        for body in re.findall(r"^impl Owner \{\n(.*?)^\}", text, re.M | re.S):
            methods += len(re.findall(r"^    (?:pub(?:\(.*?\))? )?(?:async )?fn ", body, re.M))
    return {"fields": fields, "methods": methods, "phase": sum(text.count(".phase()") for text in own.values())}


def figures(files):
    crates, units = {}, {}
    for path, text in files.items():
        product, tests = split(path, text)
        units[unit(path)] = units.get(unit(path), 0) + product
        one = crates.setdefault(crate(path), {"product": 0, "tests": 0})
        one["product"] += product
        one["tests"] += tests
    longest = max(files, key=lambda path: files[path].count("\n"))
    product, tests = (sum(one[kind] for one in crates.values()) for kind in ("product", "tests"))
    return {
        "crates": crates,
        "product": product,
        "tests": tests,
        "ratio": round(tests / product, 3),
        "largest_unit": max((lines, name) for name, lines in units.items())[::-1],
        "longest_file": [longest, files[longest].count("\n")],
        "owner": owner(files),
    }


def show(found):
    for name, one in sorted(found["crates"].items()):
        print(f"{name:28} {one['product']:7} product {one['tests']:7} tests")
    print(f"{'all':28} {found['product']:7} product {found['tests']:7} tests, {found['ratio']} tests to product")
    print(f"largest compilation unit     {found['largest_unit'][1]:7} lines, {found['largest_unit'][0]}")
    print(f"longest file                 {found['longest_file'][1]:7} lines, {found['longest_file'][0]}")
    held = found["owner"]
    print(f"thread's owner               {held['fields']:7} fields, {held['methods']} methods, {held['phase']} looks at the machine's phase")


def main():
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("revision", nargs="?", help="a commit; without one the checkout")
    given.add_argument("--json", action="store_true", help="for programs")
    given = given.parse_args()
    found = figures(sources(given.revision))
    if not found["product"]:
        sys.exit("no Rust files of the crates are here")
    print(json.dumps(found)) if given.json else show(found)


main()
