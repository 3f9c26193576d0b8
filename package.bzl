"""What the BUILD files of the crates have in common."""

load("@crates//:defs.bzl", "aliases", "all_crate_deps")
load("@rules_rust//rust:defs.bzl", "rust_library", "rust_test")

# What Cargo.toml says of every crate, for their `env!`; tidy compares the two.
LICENSE = "Apache-2.0"
VERSION = "0.1.0"

EDITION = "2024"

def skein_library(name, exclude = [], doubled = [], deps = [], compile_data = [], data = [], unit = {}):
    """A library of ours: `name`, `name_testing` with the doubles of its feature `testing`, and its unit tests as `unit`.

    Args:
      name: of the library.
      exclude: files below src/ that are not a part of it.
      doubled: libraries of ours that have a `_testing` of their own, which goes into the `_testing` of this one.
      deps: other libraries of ours.
      compile_data: files that are read with include_str!.
      data: files that are there when a unit test runs.
      unit: other attributes of `unit`.
    """
    for suffix, features in [("", []), ("_testing", ["testing"])]:
        rust_library(
            name = name + suffix,
            srcs = native.glob(["src/**/*.rs"], exclude = exclude),
            aliases = aliases(),
            compile_data = compile_data,
            crate_features = features,
            crate_name = name,
            crate_root = "src/lib.rs",
            edition = EDITION,
            proc_macro_deps = all_crate_deps(proc_macro = True),
            rustc_env = {"CARGO_PKG_LICENSE": LICENSE},
            testonly = suffix != "",
            version = VERSION,
            deps = all_crate_deps(normal = True) + deps + [label + suffix for label in doubled],
        )
    skein_unit_test(
        name = "unit",
        compile_data = compile_data,
        crate = ":" + name + "_testing",
        data = data,
        **unit
    )

def skein_unit_test(name, crate, compile_data = [], **kwargs):
    """The tests in the sources of a crate."""
    rust_test(
        name = name,
        size = "small",
        aliases = aliases(normal_dev = True, proc_macro_dev = True),
        compile_data = compile_data,
        crate = crate,
        edition = EDITION,
        proc_macro_deps = all_crate_deps(proc_macro_dev = True),
        version = VERSION,
        deps = all_crate_deps(normal_dev = True),
        **kwargs
    )

def skein_test(name, ours, data = [], rustc_env = {}):
    """The tests in tests/NAME.rs and in the folder tests/NAME.

    Args:
      name: of the file.
      ours: libraries of ours.
      data: files that are there when the test runs.
      rustc_env: what `env!` finds.
    """
    rust_test(
        name = name,
        size = "small",
        srcs = ["tests/%s.rs" % name] + native.glob(["tests/%s/**/*.rs" % name], allow_empty = True),
        aliases = aliases(normal_dev = True, proc_macro_dev = True),
        crate_root = "tests/%s.rs" % name,
        data = data,
        edition = EDITION,
        proc_macro_deps = all_crate_deps(proc_macro = True, proc_macro_dev = True),
        rustc_env = rustc_env,
        version = VERSION,
        deps = all_crate_deps(normal = True, normal_dev = True) + ours,
    )
