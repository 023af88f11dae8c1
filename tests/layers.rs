//! Who may know whom: the table of docs/architecture.md, deny by default.
//!
//! A module that is not in the table fails the test, and so does an import
//! that its row does not list. Code in `#[cfg(test)]` modules is exempt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, what it may import from this crate, whether it is pure.
const TABLE: &[(&str, &[&str], bool)] = &[
    ("limits", &[], true),
    ("image", &["limits"], true),
    ("crypto", &["limits", "evidence", "image"], true),
    ("evidence", &["image", "crypto"], true),
    ("envelope", &["image", "crypto", "evidence", "limits"], true),
    ("trust", &["crypto", "limits", "evidence", "image"], true),
    ("verify", &["envelope", "trust", "crypto", "evidence", "image", "limits"], true),
    ("policy", &["evidence", "image", "limits"], true),
    ("report", &["policy", "evidence", "image"], true),
    ("store", &["image", "limits"], false),
    (
        "engine",
        &[
            "limits", "image", "crypto", "evidence", "envelope", "trust", "verify", "policy",
            "report", "store",
        ],
        false,
    ),
    ("gate", &["engine", "policy", "store", "limits", "image"], false),
    (
        "webhook",
        &["gate", "engine", "report", "policy", "store", "limits", "image", "evidence"],
        false,
    ),
    (
        "containerd",
        &["gate", "engine", "report", "policy", "store", "limits", "image", "evidence"],
        false,
    ),
    (
        "audit",
        &["gate", "webhook", "engine", "report", "policy", "store", "limits", "image", "evidence"],
        false,
    ),
    (
        "cli",
        &[
            "gate",
            "webhook",
            "containerd",
            "audit",
            "engine",
            "report",
            "policy",
            "store",
            "limits",
            "image",
            "evidence",
            "crypto",
        ],
        false,
    ),
];

/// What a pure module never names: files, network, processes, environment,
/// clocks, event loops.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::env",
    "std::thread::sleep",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "tokio",
    "reqwest",
];

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (module, file, text) in sources() {
        let Some((_, allowed, _)) = TABLE.iter().find(|(name, ..)| *name == module) else {
            wrong.push(format!("{}: module `{module}` is not in the table", file.display()));
            continue;
        };
        for other in imports(&text) {
            if other != module && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: `{module}` must not know `{other}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_no_io_and_read_no_clock() {
    let mut wrong = Vec::new();
    for (module, file, text) in sources() {
        // reviews are the pure part of a module that does IO
        let pure = TABLE.iter().any(|(name, _, pure)| *name == module && *pure)
            || file.to_string_lossy().contains("webhook/review");
        // the one token that crypto talks to is a device, not a key in memory
        if !pure || file.ends_with("crypto/pkcs11.rs") {
            continue;
        }
        for word in IMPURE {
            if text.contains(word) {
                wrong.push(format!("{}: pure module names `{word}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn proofs_are_made_in_one_place_each() {
    for (proof, place) in [("Evidence::verified(", "verify"), ("Admitted {", "policy")] {
        for (module, file, text) in sources() {
            let makes = text.lines().any(|line| line.contains(proof) && !line.contains("struct"));
            assert!(!makes || module == place, "{} makes `{proof}`", file.display());
        }
    }
}

/// Every source file: its module, its path, its code without tests and comments.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    let within = |path: &Path| path.strip_prefix(&root).unwrap().to_owned();
    found
        .into_iter()
        .filter(|path| !matches!(within(path).to_str(), Some("lib.rs" | "main.rs")))
        .map(|path| {
            let own = within(&path);
            let first = own.components().next().unwrap().as_os_str().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
            let code: Vec<_> =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (first.trim_end_matches(".rs").to_owned(), own, code.join("\n"))
        })
        .collect()
}

/// First segments after `crate::`, grouped imports included.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let list = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
            }
        };
        for part in list.split(',') {
            let name: String =
                part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(name);
        }
    }
    found.remove("");
    found
}
