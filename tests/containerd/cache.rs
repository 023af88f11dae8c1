//! What is kept between pulls saves time and decides nothing.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::common::registry::{Lie, Options};
use super::node::Node;

/// What becomes of the bytes of a file.
type Damage = fn(&[u8]) -> Vec<u8>;

/// The files that are kept.
fn kept(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.sandbox.path("etc/cache/v1")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_second_pull_asks_the_registry_for_nothing() {
    let node = Node::new();
    node.pull("app:v1").allows();
    let before = node.requests();
    for _ in 0..3 {
        node.pull("app:v1").allows();
    }
    assert_eq!(node.requests(), before);
    // not even where it is gone
    node.registry.lie("*", Lie::Hangup);
    node.pull("app:v1").allows();
}

#[test]
fn without_a_cache_every_pull_asks() {
    let node = Node::with(Options::default(), "--no-cache");
    for _ in 0..2 {
        let before = node.requests();
        node.pull("app:v1").allows();
        assert!(node.requests() > before);
    }
    assert!(!node.sandbox.path("etc/cache").exists());
}

#[test]
fn an_image_that_was_denied_is_allowed_as_soon_as_it_is_signed() {
    let node = Node::new();
    node.pull("unsigned:v1").denies();
    node.sign("unsigned:v1");
    node.pull("unsigned:v1").allows();
}

#[test]
fn a_policy_that_changes_counts_at_the_next_pull() {
    let node = Node::new();
    node.pull("app:v1").allows();
    let (digest, _) = node.descriptor("app:v1");
    node.policy(&format!(r#" "revoked": [{{ "digest": "{digest}", "reason": "test" }}],"#));
    node.pull("app:v1").denies().because("revokes");
    node.policy("");
    node.pull("app:v1").allows();
    // another key under the signer's name: what me.key signed is worth nothing
    let other = node.sandbox.read("other.pub");
    node.sandbox.write("me.pub", other);
    node.pull("app:v1").denies();
    // and what the new key signs counts, though an older list is kept
    node.sandbox.ocisign(&format!("sign --key other.key {}", node.image("app:v1"))).exits(0);
    node.pull("app:v1").allows();
    // the file is gone: nothing of an earlier run stands in for it
    fs::remove_file(node.sandbox.path("me.pub")).unwrap();
    node.pull("app:v1").ends_undecided();
}

#[test]
fn a_list_is_kept_for_a_while_only() {
    let node = Node::new();
    node.configure(|config| config["cache"]["listingSeconds"] = json!(0));
    node.pull("app:v1").allows();
    let before = node.requests();
    node.pull("app:v1").allows();
    let asked = node.registry.requests().split_off(before);
    assert!(!asked.is_empty(), "the list is fetched anew");
    let content = |path: &str| path.contains("/blobs/") || path.contains("/manifests/sha256:");
    assert!(!asked.iter().any(|request| content(&request.target)), "{asked:?}");
}

#[test]
fn whatever_becomes_of_a_kept_file_the_answer_is_the_same() {
    let node = Node::new();
    node.pull("app:v1").allows();
    let whole: Vec<_> = kept(&node).into_iter().map(|f| (fs::read(&f).unwrap(), f)).collect();
    assert!(whole.len() > 5, "{whole:?}");
    let damage: [Damage; 5] = [
        |_| Vec::new(),
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |bytes| bytes.iter().map(|byte| byte ^ 1).collect(),
        |bytes| [bytes, b" "].concat(),
        |_| vec![b'['; 100_000],
    ];
    for damaged in damage {
        for (bytes, file) in &whole {
            fs::write(file, damaged(bytes)).unwrap();
        }
        node.pull("app:v1").allows();
        node.pull("unsigned:v1").denies();
        for (bytes, file) in &whole {
            fs::write(file, bytes).unwrap();
        }
    }
    // every file under every other's name
    for shift in 1..whole.len() {
        for (at, (_, file)) in whole.iter().enumerate() {
            fs::write(file, &whole[(at + shift) % whole.len()].0).unwrap();
        }
        node.pull("app:v1").allows();
        node.pull("unsigned:v1").denies();
    }
}

#[test]
fn what_an_attacker_puts_into_it_allows_nothing() {
    let node = Node::new();
    node.pull("app:v1").allows();
    // all that speaks for the signed image, said of the unsigned one
    let (signed, _) = node.descriptor("app:v1");
    let (unsigned, _) = node.descriptor("unsigned:v1");
    for file in kept(&node) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        fs::write(&file, text.replace(&signed.to_string(), &unsigned.to_string())).unwrap();
    }
    node.pull("unsigned:v1").denies();
    node.pull("app:v1").allows();
}

#[test]
fn a_cache_that_cannot_be_written_changes_no_answer() {
    // a file where the directory should be, and one that takes nothing
    for dir in ["/dev/null/cache", "/proc/cache"] {
        let node = Node::new();
        node.configure(|config| config["cache"]["dir"] = json!(dir));
        node.pull("app:v1").allows();
        node.pull("unsigned:v1").denies();
    }
}

#[test]
fn it_stays_within_its_bounds() {
    let node = Node::new();
    node.configure(|config| {
        config["cache"]["maxEntries"] = json!(20);
        config["cache"]["maxBytes"] = json!(16 << 10);
    });
    for at in 0..20 {
        let name = format!("image{at}:v1");
        node.push("demo", &name);
        node.sign(&name);
        node.pull(&name).allows();
        let files = kept(&node);
        let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(files.len() <= 20 && bytes <= 16 << 10, "{} files, {bytes} bytes", files.len());
    }
}

#[test]
fn a_list_that_lost_an_entry_is_fetched_again() {
    let node = Node::new();
    node.pull("app:v1").allows();
    let (digest, _) = node.descriptor("app:v1");
    // the kept list says that nothing is there; such a list allows nothing
    for file in kept(&node) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        if let Ok(mut list) = serde_json::from_str::<serde_json::Value>(&text)
            && list.get("subjects").is_some()
        {
            list["subjects"] = json!({ digest.to_string(): [] });
            fs::write(&file, list.to_string()).unwrap();
        }
    }
    let before = node.requests();
    node.pull("app:v1").allows();
    assert!(node.requests() > before);
}

#[test]
fn pulls_at_the_same_time_share_it() {
    let node = Node::new();
    let jobs = ["app:v1", "unsigned:v1"].map(|name| {
        let (digest, stdin) = node.descriptor(name);
        (super::node::arguments(&node.image(name), &digest.to_string()), stdin, name == "app:v1")
    });
    std::thread::scope(|scope| {
        for at in 0..16 {
            let (words, stdin, signed) = &jobs[at % 2];
            let entry = node.entry();
            scope.spawn(move || {
                let mut child = std::process::Command::new(entry)
                    .args(words)
                    .stdin(std::process::Stdio::piped())
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::null())
                    .spawn()
                    .unwrap();
                let mut input = child.stdin.take().unwrap();
                std::io::Write::write_all(&mut input, stdin.as_bytes()).unwrap();
                drop(input);
                let out = child.wait_with_output().unwrap();
                assert_eq!(out.status.success(), *signed, "{out:?}");
            });
        }
    });
    let left = kept(&node);
    let unfinished =
        |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().contains("writing");
    assert!(!left.iter().any(unfinished), "{left:?}");
}

#[test]
fn a_signature_of_the_older_format_is_kept_too() {
    let node = Node::with(Options::without_referrers(), "");
    node.pull("app:v1").allows();
    let before = node.requests();
    node.pull("app:v1").allows();
    assert_eq!(node.requests(), before, "{:?}", node.registry.requests().split_off(before));
}
