"""Rust in packages: crates from a Cargo.lock, vendored, and the toolchain."""
