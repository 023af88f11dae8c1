//! The protocol: words, one descriptor, an exit code and one line.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use ocisign::image::{Digest, media_type};
use serde_json::json;

use super::common::registry::Lie;
use super::node::{Node, arguments};

#[test]
fn a_signed_image_is_allowed_and_an_unsigned_one_is_not() {
    let node = Node::new();
    let said = node.pull("app:v1").allows();
    assert!(said.stderr.contains("counts: me"), "all of it is for containerd's log: {said:?}");
    node.pull("unsigned:v1").denies().because("signed needs a signature of me");
}

#[test]
fn the_name_is_what_the_policy_matches_and_the_digest_what_is_judged() {
    let node = Node::new();
    let (digest, stdin) = node.descriptor("app:v1");
    // the tag moves on between containerd's look at it and ours
    let unsigned = node.registry.manifest("unsigned", "v1").unwrap();
    node.registry.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, &unsigned);
    for name in ["app:v1", &format!("app@{digest}"), &format!("app:v1@{digest}"), "app:other"] {
        node.ask(&arguments(&node.image(name), &digest.to_string()), &stdin).allows();
    }
    // the same digest under a name that it was not signed for
    node.push("demo", "moved:v1");
    node.ask(&arguments(&node.image("moved:v1"), &digest.to_string()), &stdin).denies();
}

#[test]
fn words_of_later_versions_change_nothing() {
    let node = Node::new();
    for name in ["app:v1", "unsigned:v1"] {
        let (digest, stdin) = node.descriptor(name);
        let mut words = vec!["-operation".to_owned(), "pull".to_owned()];
        words.extend(arguments(&node.image(name), &digest.to_string()));
        words.extend(["--later=1", "-x", "-y"].map(str::to_owned));
        let said = node.ask(&words, &stdin);
        if name == "app:v1" {
            said.allows()
        } else {
            said.denies()
        };
    }
}

#[test]
fn a_request_that_cannot_be_read_is_undecided() {
    let node = Node::new();
    let (digest, stdin) = node.descriptor("app:v1");
    let good = arguments(&node.image("app:v1"), &digest.to_string());
    node.ask(&[], "").ends_undecided();
    node.ask(&good, "").ends_undecided().because("descriptor");
    node.ask(&good[..4], &stdin).ends_undecided().because("-stdin-media-type");
    node.ask(&good, &stdin.replace("size", "Size")).ends_undecided();
    node.ask(&good, &stdin.repeat(2)).ends_undecided();
    node.ask(&good, &"[".repeat(100_000)).ends_undecided();
    node.ask(&good, &format!("{stdin}{}", " ".repeat(1 << 20))).ends_undecided().because("larger");
    let other = Digest::sha256(b"other").to_string();
    node.ask(&arguments(&good[1], &other), &stdin).ends_undecided().because("contradicts");
    let named = format!("{}@{other}", node.image("app"));
    node.ask(&arguments(&named, &digest.to_string()), &stdin).ends_undecided();
    node.ask(&arguments("app:v1", &digest.to_string()), &stdin)
        .ends_undecided()
        .because("names no registry");
    node.ask(&arguments("a.example/app\u{1b}[2J", &digest.to_string()), &stdin).ends_undecided();
    assert!(!node.ask(&arguments("a.example/\u{1b}", "x"), "").stdout.contains('\u{1b}'));
}

#[test]
fn what_is_pulled_is_read_under_the_type_and_size_that_containerd_has() {
    let node = Node::new();
    let (digest, stdin) = node.descriptor("app:v1");
    let words = arguments(&node.image("app:v1"), &digest.to_string());
    assert!(stdin.contains(media_type::OCI_INDEX));
    // bytes that are an index to one reader and a manifest to the other
    let twisted = stdin.replace(media_type::OCI_INDEX, media_type::OCI_MANIFEST);
    node.ask(&words, &twisted).denies().because("not what its digests say");
    let mut longer: serde_json::Value = serde_json::from_str(&stdin).unwrap();
    longer["size"] = json!(longer["size"].as_u64().unwrap() + 1);
    node.ask(&words, &longer.to_string()).denies().because("bytes instead of");
}

#[test]
fn a_tampered_image_is_denied() {
    let node = Node::new();
    let (digest, _) = node.descriptor("app:v1");
    node.registry.lie(&format!("GET /v2/app/manifests/{digest}"), Lie::Body(b"{}".to_vec()));
    node.pull("app:v1").denies().because("not what its digests say");
}

#[test]
fn a_registry_that_fails_is_undecided_and_never_allowed() {
    for lie in [Lie::Status(500), Lie::Status(404), Lie::Status(401), Lie::Hangup] {
        for path in ["GET /v2/app/referrers/*", "GET /v2/app/manifests/*", "GET /v2/app/blobs/*"] {
            let node = Node::new();
            node.registry.lie(path, lie.clone());
            let said = node.pull("app:v1");
            assert!(matches!(said.code, Some(1 | 2)), "{path} {lie:?}: {said:?}");
            // a list that is not there is no list; everything else is a failure
            if !matches!(lie, Lie::Status(404)) {
                said.ends_undecided();
            }
        }
    }
}

#[test]
fn a_registry_that_stalls_is_undecided_before_containerd_gives_up() {
    let stalls = [
        ("GET /v2/app/manifests/*", Lie::Silent(Duration::from_secs(60))),
        ("GET /v2/app/referrers/*", Lie::Silent(Duration::from_secs(60))),
        ("GET /v2/app/blobs/*", Lie::Drip(1, Duration::from_secs(1))),
        ("GET /v2/app/referrers/*", Lie::EndlessPages),
    ];
    for (path, lie) in stalls {
        let node = Node::new();
        node.configure(|config| config["deadlineMs"] = json!(1000));
        node.registry.lie(path, lie.clone());
        let said = node.pull("app:v1");
        let endless = matches!(lie, Lie::EndlessPages);
        // an endless list is cut short, and what is in it is enough or not
        assert!(said.code == Some(2) || endless && said.code == Some(0), "{lie:?}: {said:?}");
        assert!(said.took < Duration::from_secs(3), "{lie:?}: {said:?}");
    }
}

#[test]
fn the_usual_deadline_is_shorter_than_that_of_containerd() {
    let node = Node::new();
    node.registry.lie("*", Lie::Silent(Duration::from_secs(60)));
    let said = node.pull("app:v1").ends_undecided().because("not decided within 8000 ms");
    assert!(said.took < Duration::from_secs(9), "{said:?}");
}

#[test]
fn input_that_never_ends_does_not_keep_the_answer_back() {
    let node = Node::new();
    node.configure(|config| config["deadlineMs"] = json!(500));
    let fifo = node.sandbox.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // opened for both, so that it neither ends nor blocks the opening
    let hold = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let (digest, _) = node.descriptor("app:v1");
    let began = std::time::Instant::now();
    let out = Command::new(node.entry())
        .args(arguments(&node.image("app:v1"), &digest.to_string()))
        .stdin(hold)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("undecided: not decided within"));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_long_reason_is_cut_and_printable() {
    let node = Node::new();
    let (digest, stdin) = node.descriptor("unsigned:v1");
    let junk =
        |at: usize| json!({"mediaType": "\u{1b}[31m\n".repeat(500), "digest": digest, "size": at});
    node.registry.list_referrers(&digest, (0..200).map(junk).collect());
    let words = arguments(&node.image("unsigned:v1"), &digest.to_string());
    let said = node.ask(&words, &stdin);
    assert!(matches!(said.code, Some(1 | 2)), "{said:?}");
    assert!(!said.stdout.contains('\u{1b}') && said.stdout.lines().count() == 1, "{said:?}");
}

#[test]
fn a_reason_that_nobody_takes_is_no_allow() {
    let node = Node::new();
    let (digest, stdin) = node.descriptor("app:v1");
    let mut command = Command::new("/bin/sh");
    let entry = node.entry();
    command.args(["-c", "exec \"$0\" \"$@\" > /dev/full"]).arg(entry);
    command.args(arguments(&node.image("app:v1"), &digest.to_string()));
    let said = node.run(command, &stdin);
    assert_eq!(said.code, Some(2), "{said:?}");
}

#[test]
fn only_its_own_name_makes_it_the_plugin() {
    let node = Node::new();
    let (digest, stdin) = node.descriptor("app:v1");
    let words = arguments(&node.image("app:v1"), &digest.to_string());
    for name in ["ocisign", "ocisign-containerd2", "ocisign-containerd.sh", "containerd"] {
        let link = node.sandbox.path(name);
        std::os::unix::fs::symlink(node.sandbox.path("etc/ocisign-containerd"), &link).unwrap();
        let mut command = Command::new(&link);
        command.args(&words);
        let said = node.run(command, &stdin);
        assert!(said.code == Some(2) && said.stdout.is_empty(), "{name}: {said:?}");
        let mut command = Command::new(&link);
        command.arg("--version");
        let said = node.run(command, "");
        assert!(said.code == Some(0) && said.stdout.starts_with("ocisign "), "{name}: {said:?}");
    }
    // the name counts, not the file: containerd may say it in another way
    let mut command = Command::new(node.entry());
    command.arg0("ocisign-containerd").args(&words);
    node.run(command, &stdin).allows();
}

#[test]
fn the_verb_does_what_the_name_does() {
    let node = Node::new();
    let config = node.sandbox.path("etc/ocisign-containerd.json");
    for name in ["app:v1", "unsigned:v1"] {
        let (digest, stdin) = node.descriptor(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocisign"));
        command.args(["containerd-verifier", "--config"]).arg(&config);
        command.args(arguments(&node.image(name), &digest.to_string()));
        let said = node.run(command, &stdin);
        if name == "app:v1" {
            said.allows()
        } else {
            said.denies()
        };
    }
    // without --config it looks beside itself
    let mut command = Command::new(node.sandbox.path("etc/ocisign-containerd"));
    command.arg0("ocisign").arg("containerd-verifier");
    node.run(command, "").ends_undecided().because("-stdin-media-type");
}

#[test]
fn a_configuration_or_policy_that_cannot_be_used_is_undecided() {
    let node = Node::new();
    let config = node.sandbox.read("etc/ocisign-containerd.json");
    for bad in ["", "{}", "{\"version\": 1, \"policy\": \"policy.json\"}"] {
        node.sandbox.write("etc/ocisign-containerd.json", bad);
        node.pull("app:v1").ends_undecided().because("configuration");
    }
    std::fs::remove_file(node.sandbox.path("etc/ocisign-containerd.json")).unwrap();
    node.pull("app:v1").ends_undecided().because("ocisign-containerd.json");
    node.sandbox.write("etc/ocisign-containerd.json", config);
    node.pull("app:v1").allows();
    for (file, mode) in
        [("policy.json", 0o666), ("me.pub", 0o664), ("etc/ocisign-containerd.json", 0o606)]
    {
        node.sandbox.chmod(file, mode);
        node.pull("app:v1").ends_undecided().because("can be written by others");
        node.sandbox.chmod(file, 0o644);
    }
    node.sandbox.write("policy.json", "{\"ocisign\": \"policy/1\",\n \"name\": \"node\"}\n");
    node.pull("app:v1").ends_undecided().because("the policy is not valid");
    std::fs::remove_file(node.sandbox.path("policy.json")).unwrap();
    node.pull("app:v1").ends_undecided();
}
