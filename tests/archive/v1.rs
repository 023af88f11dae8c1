//! Archives of Docker v1, from before Docker 1.10: images that stand on each
//! other by ids, and no digest anywhere.

use super::*;
use build::v1::{id, image, images, json, named};

#[test]
fn the_tree_of_a_sound_archive_says_that_it_has_no_digests() {
    let file = sha256(&named().finish());
    let ran = tree(named(), "").exits(0);
    let ran =
        ran.says(&format!("sha256:{file}")).says("not content-addressed").says("named `app:v1`");
    ran.says("1 verified");
    // saved by its id, it has no name
    tree(images(), "").exits(0).says(&id('b'));
    // with contents, the layers are read and their digests are known
    let layer = sha256(&build::layers()[1]);
    let ran = tree(named(), " --depth contents --output json").exits(0);
    ran.says(&layer);
}

#[test]
fn the_image_asked_for_must_be_in_it() {
    tree(named(), ":app:v1").exits(0);
    tree(named(), ":docker.io/library/app:v1").exits(0);
    tree(named(), ":app:v2").exits(2).says("`app:v2`").says("there are `app:v1`");
    let file = sha256(&named().finish());
    tree(named(), &format!("@sha256:{file}")).exits(0);
    tree(named(), &format!("@sha256:{}", "0".repeat(64))).exits(1).says("mismatch");
}

#[test]
fn it_is_denied_unless_the_file_is_signed() {
    let s = Sandbox::new();
    s.write("old.tar", named().finish());
    for (from, to) in [
        ("ecdsa-p256/key.pem", "me.key"),
        ("ecdsa-p256/key.pub", "me.pub"),
        ("ed25519/key.pub", "other.pub"),
    ] {
        s.key(from, to);
    }
    let policy = |rule: &str| {
        format!(
            r#"{{"ocisign":"policy/1","name":"old","rules":[{{"id":"old","scope":["registry.example/app"],{rule}}}]}}"#
        )
    };
    s.write("accept.json", policy(r#""accept":{"reason":"we know it"}"#));
    let verify = |with: &str| s.ocisign(&format!("verify {with} docker-archive:old.tar"));
    let by_policy =
        |policy: &str| verify(&format!("--policy {policy} --as registry.example/app:v1"));

    verify("--key me.pub").exits(1).says("not content-addressed").says("convert");
    by_policy("accept.json").exits(1).says("not-content-addressed");
    let ran = s.ocisign("sign --key me.key docker-archive:old.tar").exits(0);
    ran.says(&format!("sha256:{}", sha256(&named().finish()))).says("old.tar.sigstore.json");
    verify("--key me.pub").exits(0).says("old.tar.sigstore.json");
    verify("--key other.pub").exits(1);
    // a policy that names nobody has nobody's signature
    by_policy("accept.json").exits(1).says("not-content-addressed");
    for (key, code) in [("me.pub", 0), ("other.pub", 1)] {
        let signers = format!(r#""signers":{{"me":{{"keys":[{{"file":"{key}"}}]}}}},"rules""#);
        let accept = String::from_utf8(s.read("accept.json")).unwrap();
        s.write("named.json", accept.replace("\"rules\"", &signers));
        by_policy("named.json").exits(code);
    }

    let mut bytes = s.read("old.tar");
    let at = bytes.windows(5).position(|window| window == b"amd64").unwrap();
    bytes[at] = b'A';
    s.write("old.tar", bytes);
    verify("--key me.pub").exits(1);
}

#[test]
fn inspect_says_what_it_is_and_what_to_do() {
    let s = Sandbox::new();
    s.write("old.tar", named().finish());
    let ran = s.ocisign("inspect old.tar").exits(0);
    ran.says("Docker v1").says("ids are no digests").says("ocisign convert docker-archive:old.tar");
}

#[test]
fn what_needs_a_manifest_says_how_to_get_one() {
    let s = Sandbox::new();
    s.write("old.tar", named().finish());
    s.ocisign("copy docker-archive:old.tar oci:out").exits(2).says("ocisign convert");
}

#[test]
fn images_that_do_not_fit_together_are_refused() {
    let (a, b, c) = (id('a'), id('b'), id('c'));
    let layer = build::layers()[0].clone();
    let one = |name: &str, json: &str| {
        let mut tar = Tar::default();
        image(&mut tar, name, json, &layer);
        tar
    };
    let two = |first: &str, second: &str| {
        let mut tar = one(&a, first);
        image(&mut tar, &b, second, &layer);
        tar
    };
    let file = |name: String, content: &str| {
        let mut tar = one(&a, &json(&a, None));
        tar.file(&name, content.as_bytes());
        tar
    };
    let lacking = |left: &str| {
        let mut tar = Tar::default();
        for (name, bytes) in [("json", json(&a, None).as_bytes()), ("layer.tar", &layer)] {
            if name != left {
                tar.file(&format!("{a}/{name}"), bytes);
            }
        }
        tar.file("repositories", b"{}");
        tar
    };
    let cases: Vec<(&str, Tar, &str)> = vec![
        ("a loop of two", two(&json(&a, Some(&b)), &json(&b, Some(&a))), "parents go round"),
        ("a loop of one", one(&a, &json(&a, Some(&a))), "parents go round"),
        ("no parent", one(&a, &json(&a, Some(&c))), "a parent that is not in the archive"),
        ("a parent that is a path", one(&a, &json(&a, Some("../../etc"))), "its parent is no id"),
        ("an id that is a path", one(&a, &json("../../../etc/x", None)), "another one than"),
        ("another id", one(&a, &json(&b, None)), "another one than its folder's"),
        ("no document", lacking("json"), "has no `json`"),
        ("no layer", lacking("layer.tar"), "has no `layer.tar`"),
        ("a folder that is no id", file("abc/json".to_owned(), "{}"), "not named by an id"),
        ("a short id", file(format!("{}/json", &a[1..]), "{}"), "not named by an id"),
        ("upper case", file(format!("{}/json", id('A')), "{}"), "not named by an id"),
        ("the same file twice", file(format!("{a}/json"), &json(&a, None)), "twice"),
        ("the same, spelled otherwise", file(format!("{a}/./json"), &json(&a, None)), "twice"),
        ("out of it", file(format!("../{b}/json"), "{}"), "leads out of"),
        ("an absolute path", file(format!("/{b}/json"), "{}"), "leads out of"),
        ("a newer version", file(format!("{b}/VERSION"), "2.0"), "VERSION that is not 1.0"),
        ("no JSON", one(&a, "{"), "cannot be read"),
        ("an array", one(&a, "[]"), "it is no object"),
        ("a key twice", one(&a, &format!(r#"{{"id":"{a}","id":"{a}"}}"#)), "cannot be read"),
        (
            "another spelling",
            one(&a, &format!(r#"{{"id":"{a}","Parent":"{a}"}}"#)),
            "cannot be read",
        ),
        (
            "a name of nothing",
            file("repositories".to_owned(), &format!(r#"{{"app":{{"v1":"{c}"}}}}"#)),
            "not in the archive",
        ),
        (
            "no name",
            file("repositories".to_owned(), &format!(r#"{{"A B":{{"v1":"{a}"}}}}"#)),
            "no name",
        ),
    ];
    for (what, tar, says) in cases {
        let ran = tree(tar, "");
        assert!(matches!(ran.code, Some(1 | 2)), "{what}: {ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(says), "{what}: {said}");
    }
}

#[test]
fn files_of_an_image_are_files() {
    let (a, layers) = (id('a'), build::layers());
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo] {
        let mut tar = Tar::default();
        tar.file(&format!("{a}/json"), json(&a, None).as_bytes());
        tar.entry(&format!("{a}/layer.tar"), kind, "../../../../etc/passwd", b"");
        tree(tar, "").fails();
    }
    // with contents, what lies in a layer is held to the rules of layers
    let mut twice = Tar::default();
    twice.file("x", b"1").file("x", b"2");
    let mut tar = Tar::default();
    image(&mut tar, &a, &json(&a, None), &twice.finish());
    tree(tar, " --depth contents").exits(1).says("malformed");
    let mut cut = Tar::default();
    image(&mut cut, &a, &json(&a, None), &layers[0]);
    let bytes = cut.finish();
    let s = Sandbox::new();
    for len in [bytes.len() - 1024, bytes.len() - 1500, 700] {
        s.write("image.tar", &bytes[..len]);
        s.ocisign("tree docker-archive:image.tar").fails();
    }
}
