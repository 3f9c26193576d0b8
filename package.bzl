"""What Cargo.toml says of every crate, for their `env!`; tidy compares the two."""

LICENSE = "Apache-2.0"
VERSION = "0.1.0"
