//! `ocisign containerd install`, `check` and `uninstall`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::common::registry::Options;
use super::common::run::{Ran, Sandbox, source};
use super::node::Node;

/// Puts something into the directory.
type Make = fn(&Path);

impl Node {
    fn check(&self) -> Ran {
        self.sandbox.ocisign("containerd check --bin-dir bin --config config.toml")
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.sandbox.path(dir)).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn bare() -> Node {
    Node::bare(Options::default())
}

#[test]
fn one_link_goes_into_the_bin_dir_and_nothing_else() {
    let node = bare();
    node.install("").exits(0);
    assert_eq!(node.names("bin"), ["ocisign-containerd"]);
    assert_eq!(node.names("etc"), ["ocisign-containerd", "ocisign-containerd.json"]);
    let target = fs::read_link(node.entry()).unwrap();
    assert_eq!(target, node.sandbox.path("etc/ocisign-containerd"));
    assert!(!target.is_symlink(), "a copy");
    assert_eq!(fs::read(&target).unwrap(), fs::read(env!("CARGO_BIN_EXE_ocisign")).unwrap());
    let config: serde_json::Value =
        serde_json::from_slice(&node.sandbox.read("etc/ocisign-containerd.json")).unwrap();
    assert_eq!(config["policy"], node.sandbox.path("policy.json").to_str().unwrap());
    node.check().exits(0).says("every pull through containerd's transfer service is verified");
}

#[test]
fn nothing_else_is_ever_seen_there_while_it_is_installed_again() {
    let node = bare();
    node.install("").exits(0);
    let (bin, done) = (node.sandbox.path("bin"), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let entries = fs::read_dir(&bin).unwrap();
                let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
                assert_eq!(names, ["ocisign-containerd"]);
                // and it leads to a program at every moment
                assert!(bin.join("ocisign-containerd").metadata().unwrap().is_file());
                looks += 1;
            }
            looks
        });
        for at in 0..6 {
            // to another directory and back: the link is replaced
            let line = format!("--bin-dir bin --config-dir etc{} --config config.toml", at % 2);
            node.sandbox
                .ocisign(&format!("containerd install {line} --policy policy.json"))
                .exits(0);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watch.join().unwrap() > 10);
    });
    let left = node.names(".");
    assert!(!left.iter().any(|name| name.starts_with(".ocisign")), "{left:?}");
}

#[test]
fn what_would_not_work_or_not_be_safe_is_not_installed() {
    let node = bare();
    let install = |more: &str| node.sandbox.ocisign(&format!("containerd install {more}"));
    let to = "--bin-dir bin --config config.toml";
    // where containerd would run it
    for dir in ["bin", "bin/etc"] {
        install(&format!("{to} --config-dir {dir} --policy policy.json"))
            .exits(2)
            .says("where containerd would run it");
    }
    fs::remove_dir_all(node.sandbox.path("bin")).unwrap();
    install(&format!("{to} --config-dir etc --policy policy.json --cache-dir bin/cache"))
        .exits(2)
        .says("where containerd would run it");
    install(&format!("{to} --config-dir etc --policy none.json")).exits(2);
    node.sandbox.write("bad.json", "{}");
    install(&format!("{to} --config-dir etc --policy bad.json")).exits(1).says("not valid");
    for (file, mode) in [("policy.json", 0o666), ("me.pub", 0o666)] {
        node.sandbox.chmod(file, mode);
        node.install("").exits(2).says("can be written by others");
        node.sandbox.chmod(file, 0o644);
    }
    assert!(node.names("bin").is_empty());
}

#[test]
fn what_others_put_there_is_not_touched() {
    let node = bare();
    for make in [
        |at: &Path| fs::write(at, "#!/bin/sh\n").unwrap(),
        |at: &Path| symlink("/bin/true", at).unwrap(),
        |at: &Path| fs::create_dir(at).unwrap(),
    ] {
        fs::create_dir(node.sandbox.path("bin")).unwrap();
        make(&node.entry());
        node.install("").exits(2).says("was not made by `ocisign containerd install`");
        node.sandbox
            .ocisign("containerd uninstall --bin-dir bin --config config.toml")
            .exits(2)
            .says("was not made by");
        assert!(node.entry().symlink_metadata().is_ok());
        fs::remove_dir_all(node.sandbox.path("bin")).unwrap();
    }
}

#[test]
fn it_goes_away_link_first() {
    let node = bare();
    node.install("").exits(0);
    let removed = node.sandbox.ocisign("containerd uninstall --bin-dir bin --config config.toml");
    let removed = removed.exits(0).stdout;
    let lines: Vec<_> = removed.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].ends_with("bin/ocisign-containerd"), "{lines:?}");
    assert!(node.names("bin").is_empty() && node.names("etc").is_empty());
    assert!(node.sandbox.path("policy.json").exists());
    node.sandbox
        .ocisign("containerd uninstall --bin-dir bin --config config.toml")
        .exits(0)
        .says("not installed");
}

#[test]
fn what_blocks_every_pull_is_found() {
    let node = bare();
    node.install("").exits(0);
    let bin = node.sandbox.path("bin");
    let put: [(&str, Make, &str); 6] = [
        ("README.md", |at| fs::write(at, "read me").unwrap(), "is not executable"),
        (".git", |at| fs::create_dir(at).unwrap(), "is a directory"),
        ("old", |at| symlink("/nowhere/old", at).unwrap(), "leads nowhere"),
        ("script", |at| fs::write(at, "echo\n").unwrap(), "no program"),
        ("ocisign-containerd.json", |at| fs::write(at, "{}").unwrap(), "is not executable"),
        ("null", |at| symlink("/dev/null", at).unwrap(), "is no file"),
    ];
    for (name, make, why) in put {
        let at = bin.join(name);
        make(&at);
        if name == "script" {
            node.sandbox.chmod("bin/script", 0o755);
        }
        node.check().exits(1).says("every pull is blocked").says(name).says(why);
        // installing tells of it as well
        node.install("").exits(1).says(why);
        if at.is_dir() { fs::remove_dir(at) } else { fs::remove_file(at) }.unwrap();
    }
    node.check().exits(0);
    // another verifier that works is no fault
    fs::write(bin.join("other"), "#!/bin/sh\nexit 0\n").unwrap();
    node.sandbox.chmod("bin/other", 0o755);
    node.check().exits(0).says("must allow as well");
}

#[test]
fn what_lets_all_through_is_found() {
    let node = bare();
    node.check().exits(1).says("images are pulled unverified").says("does not exist");
    fs::create_dir(node.sandbox.path("bin")).unwrap();
    node.check().exits(1).says("is empty").says("`ocisign-containerd` is not in");
    node.install("").exits(0);
    for (settings, why) in
        [("max_verifiers = 0", "max_verifiers = 0"), ("bin_dir = '/opt/other'", "not those in")]
    {
        let dir = node.sandbox.path("bin").display().to_string();
        let dir =
            if settings.contains("bin_dir") { String::new() } else { format!("bin_dir = '{dir}'") };
        let table = "plugins.'io.containerd.image-verifier.v1.bindir'";
        node.sandbox.write("config.toml", format!("version = 3\n[{table}]\n{settings}\n{dir}\n"));
        node.check().exits(1).says("images are pulled unverified").says(why);
    }
    // sorted behind what still runs
    fs::write(node.sandbox.path("bin/first"), "#!/bin/sh\n").unwrap();
    node.sandbox.chmod("bin/first", 0o755);
    node.config("max_verifiers = 1", "");
    node.check().exits(1).says("leaves `ocisign-containerd` out");
    node.config("max_verifiers = 2", "");
    node.check().exits(0);
    node.config("max_verifiers = -1", "");
    node.check().exits(0);
    node.config("", "disabled_plugins = ['io.containerd.image-verifier.v1.bindir']");
    node.check().exits(1).says("disabled_plugins");
    node.config("", "");
    node.sandbox.chmod("bin", 0o777);
    node.check().exits(1).says("others can change what containerd runs");
    node.sandbox.chmod("bin", 0o755);
    node.sandbox.chmod("etc/ocisign-containerd", 0o777);
    node.check().exits(1).says("the plugin is not safe");
}

impl Node {
    /// containerd's configuration for this directory.
    fn config(&self, bindir: &str, top: &str) {
        let dir = self.sandbox.path("bin");
        let table = "plugins.'io.containerd.image-verifier.v1.bindir'";
        let dir = dir.display();
        let text = format!("version = 3\n{top}\n[{table}]\nbin_dir = '{dir}'\n{bindir}\n");
        self.sandbox.write("config.toml", text);
    }
}

#[test]
fn what_goes_around_it_is_listed() {
    let node = bare();
    node.install("").exits(0);
    for always in ["--local", "content fetch", "imported", "on disk already", "2.1"] {
        node.check().exits(0).says(always);
    }
    node.config("", "imports = ['conf.d/*.toml']");
    node.sandbox.write(
        "conf.d/cri.toml",
        "version = 3\n[plugins.'io.containerd.cri.v1.images']\ndiscard_unpacked_layers = true\n\
         max_concurrent_downloads = 10\n",
    );
    let found = node.check().exits(1).says("some pulls go unverified");
    let found = found.says("discard_unpacked_layers = true").says("max_concurrent_downloads = 10");
    found.says("conf.d/cri.toml");
    let line = "containerd check --bin-dir bin --config config.toml --output json";
    let json = node.sandbox.ocisign(line).exits(1).json();
    assert_eq!(json["version"], "containerd-check/1");
    assert_eq!(json["findings"][0]["severity"], "bypass");
    // installing says so, and is done
    node.install("").exits(0).says("discard_unpacked_layers");
    node.sandbox.write("config.toml", "version = ");
    node.check().exits(2).says("is no TOML");
}

#[test]
fn a_deadline_beyond_containerd_s_is_a_risk() {
    let node = bare();
    node.install("").exits(0);
    node.config("per_verifier_timeout = '5s'", "");
    node.check().exits(1).says("look at the risks").says("kills it after 5000 ms");
    node.configure(|config| config["deadlineMs"] = 4000.into());
    node.check().exits(0);
}

#[test]
fn a_plugin_that_could_not_answer_is_found() {
    let node = bare();
    node.install("").exits(0);
    let breaks: [(&str, &[u8], &str); 3] = [
        ("etc/ocisign-containerd.json", b"{}", "configuration"),
        ("policy.json", b"{}", "not valid"),
        ("me.pub", b"no key", "not valid"),
    ];
    for (file, content, why) in breaks {
        let before = node.sandbox.read(file);
        node.sandbox.write(file, content);
        node.check().exits(1).says("every pull is blocked").says(why);
        node.sandbox.write(file, before);
    }
    node.check().exits(0);
    // something else under its name
    fs::remove_file(node.sandbox.path("etc/ocisign-containerd")).unwrap();
    fs::write(node.sandbox.path("etc/ocisign-containerd"), "#!/bin/sh\nexit 0\n").unwrap();
    node.sandbox.chmod("etc/ocisign-containerd", 0o755);
    node.check().exits(1).says("it is not the plugin of this version");
    fs::remove_file(node.sandbox.path("etc/ocisign-containerd")).unwrap();
    node.check().exits(1).says("leads nowhere");
}

#[test]
fn the_directory_is_the_configured_one_unless_told() {
    let node = bare();
    node.config("", "");
    let line = "containerd install --config-dir etc --config config.toml --policy policy.json";
    node.sandbox.ocisign(line).exits(0);
    assert_eq!(node.names("bin"), ["ocisign-containerd"]);
    node.sandbox.ocisign("containerd check --config config.toml").exits(0);
}

#[test]
fn the_documented_configuration_is_one() {
    let page = fs::read_to_string(source("docs/containerd.md")).unwrap();
    let block = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let config = ocisign::containerd::Config::parse(block.as_bytes()).unwrap();
    // and names every field: what it leaves out would be added
    let text: serde_json::Value = serde_json::from_str(&config.text()).unwrap();
    assert_eq!(text, serde_json::from_str::<serde_json::Value>(block).unwrap());
}

#[test]
fn help_teaches() {
    let sandbox = Sandbox::new();
    sandbox.ocisign("containerd --help").exits(0).says("ocisign containerd install --policy");
    sandbox.ocisign("containerd install --help").exits(0).says("Nothing else is put into BIN_DIR");
    sandbox.ocisign("containerd-verifier --help").exits(0).says("-stdin-media-type");
}
