//! Archives that lie: about what is in them, or about where.

use super::*;

/// The archive with one of its files replaced.
fn with(name: &str, content: &[u8]) -> Tar {
    let layers = build::layers();
    let (config, config_name, manifest) =
        (build::config(), build::config_name(), build::manifest(&["app:v1"]));
    let mut tar = Tar::default();
    for (own, bytes) in [
        ("one/layer.tar", layers[0].as_slice()),
        ("two/layer.tar", layers[1].as_slice()),
        (config_name.as_str(), config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ] {
        tar.file(own, if own == name { content } else { bytes });
    }
    tar
}

#[test]
fn a_changed_byte_is_a_no() {
    let mut layer = build::layers()[1].clone();
    layer[512] ^= 1;
    tree(with("two/layer.tar", &layer), "").exits(1).says("mismatch: the bytes are sha256:");
    let config = build::config().replace("amd64", "arm64");
    tree(with(&build::config_name(), config.as_bytes()), "").exits(1).says("config");
    // a layer too many or too few for its config
    let one = build::manifest(&[]).replace(r#","two/layer.tar""#, "");
    tree(with("manifest.json", one.as_bytes()), "").exits(1).says("diff_ids");
}

#[test]
fn what_is_named_must_be_in_it() {
    let layers = build::layers();
    let archive = |link: &str| {
        let mut tar = Tar::default();
        tar.link("one/layer.tar", link).file("two/layer.tar", &layers[1]);
        tar.file(&build::config_name(), build::config().as_bytes());
        tar.file("manifest.json", build::manifest(&["app:v1"]).as_bytes());
        tar
    };
    for link in
        ["/etc/passwd", "../../../../etc/passwd", "../one/layer.tar", "../missing", "../two", ""]
    {
        tree(archive(link), "").exits(2).says("nor a link to one in it");
    }
    for (from, to) in [("one/layer.tar", "three/layer.tar"), (".json", ".txt")] {
        let manifest = build::manifest(&["app:v1"]).replace(from, to);
        tree(with("manifest.json", manifest.as_bytes()), "").exits(2).says("which is not in it");
    }
    let manifest = build::manifest(&["app:v1"]).replace("one/layer.tar", "../../etc/passwd");
    tree(with("manifest.json", manifest.as_bytes()), "").exits(2).says("which is not in it");
}

#[test]
fn an_archive_that_is_read_in_two_ways_is_refused() {
    let mut twice = build::docker();
    twice.file("manifest.json", b"[]");
    tree(twice, "").exits(2).says("twice");
    let mut out = build::docker();
    out.file("../evil", b"x");
    tree(out, "").exits(2).says("leads out of it");
    let cased = build::manifest(&["app:v1"]).replace("\"Layers\"", "\"layers\":[],\"Layers\"");
    tree(with("manifest.json", cased.as_bytes()), "").exits(2).says("manifest.json");
}

#[test]
fn what_is_no_such_archive_says_what_it_is() {
    let mut other = Tar::default();
    other.file("x", b"x");
    tree(other, "").exits(2).says("no manifest.json");
    let s = Sandbox::new();
    s.write("image.tar", build::gzip(&build::docker().finish()));
    s.ocisign("tree docker-archive:image.tar").exits(2).says("gzip -d");
    let whole = build::docker().finish();
    for cut in [0, 100, 512, 1000, whole.len() - 1024] {
        s.write("image.tar", &whole[..cut]);
        s.ocisign("tree docker-archive:image.tar").exits(2).says("make the archive again");
    }
    tree(with("manifest.json", b"null"), "").exits(2).says("an image does not exist");
}
