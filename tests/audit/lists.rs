//! Lists that people, scripts and attackers write.

use super::common::run::Sandbox;
use super::{Scene, answers};

#[test]
fn spellings_of_one_image_are_asked_about_once() {
    let scene = Scene::new();
    scene.unsigned("open/app", "latest");
    let name = scene.name("open/app");
    let list = [name.clone(), format!("{name}:latest"), format!("  {name}:latest  # again")];
    let found = answers(&scene.audit(&list, "--output json").exits(0).stdout);
    assert_eq!(found.len(), 1);
    assert_eq!(found[&format!("{name}:latest")]["line"], 1);
    assert_eq!(scene.registry.count("GET /v2/open/app/manifests/latest"), 1);
}

#[test]
fn what_names_no_image_is_undecided_and_the_rest_is_answered() {
    let scene = Scene::new();
    scene.unsigned("open/app", "v1");
    let good = scene.name("open/app:v1");
    let hostile = [
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{202e}gpj.exe",
        "a b c",
        "{\"image\": 1}",
        "{\"image\": \"<script>alert(1)</script>\"}",
        "]]>&<x a=\"b\"/>",
        "Registry/app",
        "oci:layout:v1",
        &"x".repeat(2 << 20),
    ]
    .map(str::to_owned);
    let list = [&hostile[..], std::slice::from_ref(&good)].concat();
    for form in ["table", "json", "junit", "sarif"] {
        let ran = scene.audit(&list, &format!("--output {form}")).exits(2);
        let plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(ran.stdout.chars().all(plain) && ran.stderr.chars().all(plain), "{form}");
        assert!(ran.stdout.len() < 40_000, "{form}: {} bytes", ran.stdout.len());
    }
    let ran = scene.audit(&list, "--output json");
    let found = answers(&ran.stdout);
    assert_eq!(found.len(), list.len());
    assert_eq!(
        found.values().filter(|line| line["decision"] == "undecided").count(),
        list.len() - 1
    );
    assert_eq!(found[&good]["decision"], "allow");
}

#[test]
fn the_output_of_an_audit_is_a_list_too() {
    let scene = Scene::new();
    let list = scene.of_each_answer();
    let first = scene.audit(&list, "--output json").exits(2);
    let denied: Vec<String> = first
        .stdout
        .lines()
        .filter(|line| line.contains("\"decision\":\"deny\""))
        .map(str::to_owned)
        .collect();
    assert_eq!(denied.len(), 4);
    let again = answers(&scene.audit(&denied, "--output json").exits(1).stdout);
    assert_eq!(again.len(), 4);
}

#[test]
fn a_list_that_is_not_there_says_so() {
    let sandbox = Sandbox::new();
    super::sandbox("a.b")
        .ocisign("audit --policy policy.json --images none.txt")
        .exits(2)
        .says("`none.txt`");
    sandbox.ocisign("audit --images x").exits(2).says("--policy");
    sandbox.ocisign("audit --policy p.json").exits(2).says("--from-cluster");
    let sandbox = super::sandbox("a.b");
    for line in ["--shard 4/4", "--shard 1", "--concurrency 0", "--deadline 0"] {
        sandbox.ocisign(&format!("audit --policy policy.json --images x {line}")).exits(2);
    }
}
