//! Exit codes: 0 done or allow, 1 the answer is no, 2 could not do or decide.

use super::{check, closed_port, demo};

#[test]
fn what_is_done_or_allowed_is_0() {
    let s = demo();
    s.write("bare/keep", "");
    check(
        &s,
        &[
            ("verify --key me.pub oci:demo:v1", 0, "allow  localhost/demo:v1"),
            ("verify --key me.pub oci:demo", 0, "allow"),
            ("sign --key other.key oci:demo:v1", 0, "signed sha256:"),
            ("sign --key me.key --output-bundle b.json oci:demo:v1", 0, "b.json"),
            ("copy --no-referrers oci:demo:v1 oci:unsigned:v1", 0, "0 of them attached"),
            ("attach --bundle b.json oci:unsigned:v1", 0, "attached to sha256:"),
            ("verify --key me.pub oci:unsigned:v1", 0, "allow"),
            ("signatures oci:demo:v1", 0, "nothing below is verified"),
            ("tree oci:demo:v1", 0, "sha256:"),
            ("copy oci:demo:v1 oci-archive:demo.tar:v1", 0, "attached"),
            ("verify --key me.pub oci-archive:demo.tar:v1", 0, "allow"),
            ("key generate --no-password --output new", 0, "new.pub"),
            ("key show me.key", 0, "-----BEGIN PUBLIC KEY-----"),
            ("policy init --scope **  --signer me=me.pub", 0, "\"policy/1\""),
            ("completions bash", 0, "ocisign"),
            ("man bare", 0, ""),
        ],
    );
}

#[test]
fn a_no_is_1() {
    let s = demo();
    let broken = s.path("broken");
    super::common::run::copy_folder(&s.path("demo"), &broken);
    super::damage::flip(&super::damage::layer(&broken));
    s.ocisign("copy --no-referrers oci:demo:v1 oci:unsigned:v1").exits(0);
    s.ocisign("sign --key me.key --output-bundle b.json oci:demo:v1").exits(0);
    s.write("no-bundle.json", "{}");
    s.write("wrong.json", "{\n  \"ocisign\": \"policy/1\",\n  \"nmae\": \"x\"\n}\n");
    s.write("cut.json", "{\n  \"ocisign\": \"policy/1\",\n");
    check(
        &s,
        &[
            ("verify --key other.pub oci:demo:v1", 1, "deny: checks"),
            ("verify --key me.pub -a env=prod oci:demo:v1", 1, "deny: checks"),
            ("verify --key me.pub oci:unsigned:v1", 1, "deny: checks"),
            ("verify --key me.pub oci:broken:v1", 1, "deny: integrity"),
            ("verify --policy wrong.json oci:demo:v1", 1, "nmae"),
            ("sign --key me.key oci:broken:v1", 1, "nothing was signed"),
            ("attach --bundle no-bundle.json oci:demo:v1", 1, "the bundle cannot be attached"),
            ("tree oci:broken:v1", 1, "sha256:"),
            ("copy oci:broken:v1 oci:copy:v1", 1, "integrity"),
            ("copy oci:broken:v1 oci-archive:copy.tar:v1", 1, "integrity"),
            ("policy check wrong.json", 1, "wrong.json"),
            ("policy fmt cut.json", 1, "cut.json"),
        ],
    );
    assert!(!s.path("copy.tar").exists());
}

#[test]
fn what_cannot_be_done_or_decided_is_2() {
    let s = demo();
    let partial = s.path("partial");
    super::common::run::copy_folder(&s.path("demo"), &partial);
    std::fs::remove_file(super::damage::layer(&partial)).unwrap();
    s.ocisign("sign --key me.key --output-bundle b.json oci:demo:v1").exits(0);
    s.write("taken.tar", "mine");
    check(
        &s,
        &[
            ("verify --key me.pub oci:partial:v1", 2, "undecided"),
            ("verify --key me.pub oci:demo:v2", 2, "v2"),
            ("verify --key me.pub oci:nowhere:v1", 2, "nowhere"),
            ("verify --key nobody.pub oci:demo:v1", 2, "nobody.pub"),
            ("verify --policy none.json oci:demo:v1", 2, "none.json"),
            ("sign --key me.key oci:partial:v1", 2, "nothing is signed"),
            ("sign --key nobody.key oci:demo:v1", 2, "nobody.key"),
            ("sign --key me.pub oci:demo:v1", 2, "me.pub"),
            ("sign --key me.key --output-bundle b.json oci:demo:v1", 2, "b.json"),
            ("attach --bundle nothing.json oci:demo:v1", 2, "nothing.json"),
            ("signatures oci:demo:v2", 2, "v2"),
            ("tree oci:partial:v1", 2, "sha256:"),
            ("copy oci:partial:v1 oci:copy:v1", 2, "missing"),
            ("copy oci:demo:v1 oci-archive:taken.tar:v1", 2, "exists"),
            ("key show nobody.key", 2, "nobody.key"),
            ("policy check none.json", 2, "none.json"),
            ("policy test none.json", 2, "none.json"),
            ("man absent", 2, "absent"),
        ],
    );
    assert_eq!(s.read("taken.tar"), b"mine");
}

#[test]
fn wrong_arguments_are_2_and_told_on_stderr() {
    let s = demo();
    for line in [
        "",
        "sing oci:demo:v1",
        "verify oci:demo:v1",
        "verify --key me.pub",
        "verify --key me.pub --policy p.json oci:demo:v1",
        "verify --key me.pub -a prod oci:demo:v1",
        "verify --policy p.json -a env=prod oci:demo:v1",
        "verify --key me.pub --now yesterday oci:demo:v1",
        "verify --key me.pub --reference nearly oci:demo:v1",
        "verify --key me.pub --parent sha256:short oci:demo:v1",
        "verify --key me.pub NOT/A/NAME",
        "verify --key me.pub --as Upper oci:demo:v1",
        "sign oci:demo:v1",
        "sign --key me.key --format pgp oci:demo:v1",
        "sign --key me.key --recursive --output-bundle b oci:demo:v1",
        "sign --key me.key --format cosign --output-bundle b oci:demo:v1",
        "attach oci:demo:v1",
        "copy oci:demo:v1",
        "key generate",
        "key generate --algorithm rsa-1024 --output k",
        "policy init --scope **",
        "completions cmd.exe",
        "-q -v tree oci:demo:v1",
    ] {
        let ran = s.ocisign(line).exits(2);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran}");
    }
}

#[test]
fn a_registry_that_does_not_answer_is_2() {
    let s = demo();
    let host = closed_port();
    let image = format!("{host}/app:v1");
    s.ocisign("sign --key me.key --output-bundle b.json oci:demo:v1").exits(0);
    let lines = [
        "verify --key me.pub IMAGE",
        "verify --key me.pub --output json IMAGE",
        "sign --key me.key IMAGE",
        "sign --key me.key --dry-run IMAGE",
        "attach --bundle b.json IMAGE",
        "signatures IMAGE",
        "tree IMAGE",
        "copy IMAGE oci:copy:v1",
        "copy oci:demo:v1 IMAGE",
    ];
    let run = |line: &str| {
        let ran = s.ocisign(&line.replace("IMAGE", &image)).exits(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(&host), "{ran}");
    };
    // side by side, because each tries again for some seconds
    let run = &run;
    std::thread::scope(|scope| drop(lines.map(|line| scope.spawn(move || run(line)))));
}

#[test]
fn of_several_images_the_greatest_code_is_the_answer() {
    let s = demo();
    s.ocisign("copy --no-referrers oci:demo:v1 oci:unsigned:v1").exits(0);
    let (allow, deny, absent) = ("oci:demo:v1", "oci:unsigned:v1", "oci:demo:v9");
    for (images, code) in [
        ([allow, allow, allow], 0),
        ([allow, deny, allow], 1),
        ([deny, allow, allow], 1),
        ([absent, allow, deny], 2),
        ([allow, deny, absent], 2),
    ] {
        let ran = s.ocisign(&format!("verify --key me.pub {}", images.join(" "))).exits(code);
        let allowed = images.iter().filter(|image| **image == allow).count();
        assert_eq!(ran.stdout.matches("allow  localhost/demo:v1").count(), allowed, "{ran}");
    }
}

#[test]
fn options_stand_before_or_after_the_image() {
    let s = demo();
    for line in [
        "verify --key me.pub --output json oci:demo:v1",
        "verify oci:demo:v1 --key me.pub --output json",
        "verify --key me.pub oci:demo:v1 --output=json",
        "--quiet verify oci:demo:v1 --key me.pub --output json",
        "verify oci:demo:v1 --key me.pub --output json --quiet",
        "verify oci:demo:v1 --key other.pub --key me.pub --output json",
    ] {
        assert_eq!(s.ocisign(line).exits(0).json()["decision"], "allow", "{line}");
    }
    let image_last = s.ocisign("sign --key other.key -a a=b --dry-run oci:demo:v1").exits(0);
    let image_first = s.ocisign("sign oci:demo:v1 --dry-run -a a=b --key other.key").exits(0);
    assert_eq!(image_first.stdout, image_last.stdout);
}
