//! Link liblmdb.so.0 of liblmdb-wheel, which pyproject.toml makes a build requirement, by SONAME and without RPATH.

use std::{env, process::Command};

fn main() {
    let python = env::var("PYO3_PYTHON").unwrap_or("python3".into()); // maturin says which
    let asked = Command::new(&python).args(["-m", "liblmdb_wheel", "--engine", "0.9", "--prefix"]).output();
    let answer = asked.unwrap_or_else(|error| panic!("{python}: {error}"));
    assert!(answer.status.success(), "{python}: {}", String::from_utf8_lossy(&answer.stderr));
    let prefix = String::from_utf8(answer.stdout).unwrap();
    println!("cargo:rustc-link-search=native={}/lib", prefix.trim());
    println!("cargo:rustc-link-lib=dylib=lmdb");
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
}
