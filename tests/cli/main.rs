//! The command line as people and scripts meet it: what each verb prints,
//! writes and exits with. No registry and no other tool is needed; images are
//! copies of `tests/data/layouts`, keys of `keys-test`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod codes;
mod damage;
mod export;
mod help;
mod inspect;
mod keys;
mod policies;
mod signing;
mod verdicts;

use std::collections::BTreeMap;
use std::path::Path;

use common::run::Sandbox;

/// A line, its exit code, and a part of what it prints.
type Case = (&'static str, i32, &'static str);

/// The signed layout `demo`, the key that signed it (`me`) and another one.
fn demo() -> Sandbox {
    let sandbox = Sandbox::with_layouts(&["demo"]);
    for (folder, name) in [("ecdsa-p256", "me"), ("ed25519", "other")] {
        sandbox.key(&format!("{folder}/key.pem"), &format!("{name}.key"));
        sandbox.key(&format!("{folder}/key.pub"), &format!("{name}.pub"));
    }
    sandbox
}

/// Runs every line of a table in one sandbox.
fn check(sandbox: &Sandbox, cases: &[Case]) {
    for (line, code, says) in cases {
        sandbox.ocisign(line).exits(*code).says(says);
    }
}

/// An address of this machine where nobody listens.
fn closed_port() -> String {
    format!("127.0.0.1:{}", common::free_port())
}

/// Every file below a folder, with its content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}
