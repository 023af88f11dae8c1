//! What ocisign says of itself.

use super::common::run::Sandbox;

const VERBS: [&str; 20] = [
    "verify",
    "sign",
    "attach",
    "signatures",
    "tree",
    "inspect",
    "copy",
    "convert",
    "blob",
    "key",
    "trust",
    "policy",
    "audit",
    "serve",
    "certificate",
    "containerd",
    "containerd-verifier",
    "export",
    "completions",
    "man",
];
const BLOB_VERBS: [&str; 2] = ["sign", "verify"];
const KEY_VERBS: [&str; 2] = ["generate", "show"];
const TRUST_VERBS: [&str; 3] = ["add", "list", "remove"];
const POLICY_VERBS: [&str; 5] = ["check", "fmt", "init", "explain", "test"];
const CONTAINERD_VERBS: [&str; 3] = ["install", "check", "uninstall"];
const EXPORT_VERBS: [&str; 1] = ["containers-policy"];

/// The verbs that a help lists, but `help` itself.
fn listed(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = lines.take_while(|line| !line.is_empty());
    verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help").collect()
}

#[test]
fn the_verbs() {
    let s = Sandbox::new();
    assert_eq!(listed(&s.ocisign("--help").exits(0).stdout), VERBS);
    assert_eq!(listed(&s.ocisign("blob --help").exits(0).stdout), BLOB_VERBS);
    assert_eq!(listed(&s.ocisign("key --help").exits(0).stdout), KEY_VERBS);
    assert_eq!(listed(&s.ocisign("trust --help").exits(0).stdout), TRUST_VERBS);
    assert_eq!(listed(&s.ocisign("policy --help").exits(0).stdout), POLICY_VERBS);
    assert_eq!(listed(&s.ocisign("containerd --help").exits(0).stdout), CONTAINERD_VERBS);
    assert_eq!(listed(&s.ocisign("export --help").exits(0).stdout), EXPORT_VERBS);
}

#[test]
fn every_verb_and_every_option_says_what_it_does() {
    let s = Sandbox::new();
    let below = |verb: &'static str, verbs: &[&str]| -> Vec<String> {
        verbs.iter().map(|inner| format!("{verb} {inner}")).collect()
    };
    let mut lines: Vec<String> = VERBS.map(str::to_owned).into();
    lines.extend(below("blob", &BLOB_VERBS));
    lines.extend(below("key", &KEY_VERBS));
    lines.extend(below("trust", &TRUST_VERBS));
    lines.extend(below("policy", &POLICY_VERBS));
    lines.extend(below("containerd", &CONTAINERD_VERBS));
    lines.extend(below("export", &EXPORT_VERBS));
    for line in lines {
        let ran = s.ocisign(&format!("{line} --help")).exits(0).says(&format!("ocisign {line}"));
        assert!(ran.stderr.is_empty(), "{ran}");
        let about = ran.stdout.lines().next().unwrap();
        assert!(about.split_whitespace().count() >= 4, "{line}: {about}");
        let help: Vec<&str> = ran.stdout.lines().collect();
        for (at, option) in help.iter().enumerate().filter(|(_, line)| is_option(line)) {
            // its text stands on the same line, or indented below
            let beside = option.trim().split("  ").count() > 1;
            let under = help.get(at + 1).is_some_and(|next| next.starts_with("          "));
            assert!(beside || under, "{line}: nothing is said of {option}\n{ran}");
        }
        assert_eq!(s.ocisign(&format!("help {line}")).exits(0).stdout, ran.stdout);
    }
}

fn is_option(line: &str) -> bool {
    // a lone dash stands for stdin or leads a list
    let named = |text: &str| text.starts_with('-') && text.chars().nth(1).is_some_and(|c| c != ' ');
    line.starts_with("  ") && named(line.trim_start()) && !line.contains("ocisign")
}

#[test]
fn the_version_is_the_packages() {
    let version = concat!("ocisign ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(Sandbox::new().ocisign("--version").exits(0).stdout, version);
}

#[test]
fn completions_name_every_verb() {
    let s = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = s.ocisign(&format!("completions {shell}")).exits(0);
        for verb in VERBS {
            assert!(ran.stdout.contains(verb), "{shell}: {verb}");
        }
    }
}

#[test]
fn man_writes_a_page_per_verb() {
    let s = Sandbox::new();
    s.write("man/keep", "");
    s.ocisign("man man").exits(0);
    assert!(String::from_utf8(s.read("man/ocisign.1")).unwrap().contains(".TH"));
    for verb in VERBS {
        let page = String::from_utf8(s.read(format!("man/ocisign-{verb}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains("ocisign"), "{verb}");
    }
}

#[test]
fn every_image_verb_says_where_it_reads_from_when_asked() {
    let s = super::demo();
    let quiet = s.ocisign("verify --key me.pub oci:demo:v1").exits(0);
    assert!(quiet.stderr.is_empty(), "{quiet}");
    let verbose = s.ocisign("-v verify --key me.pub oci:demo:v1").exits(0);
    assert!(verbose.stderr.contains("localhost/demo:v1: read from"), "{verbose}");
}
