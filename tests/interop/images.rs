//! Images that other tools make: Docker schema 2, indexes, artifacts.

use super::common::peers;
use super::common::run::Sandbox;
use super::real::{ALL, Real};
use super::{OFFLINE, digest, push_demo, write_policy};

/// crane's `append`: one image of Docker schema 2, linux/amd64.
fn crane_append(s: &Sandbox, image: &str, content: &str) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "app/hello", content.as_bytes()).unwrap();
    s.write("layer.tar", tar.into_inner().unwrap());
    s.peer("crane", &format!("append -f layer.tar -t {image}")).exits(0);
}

#[test]
fn docker_images_and_lists_by_crane() {
    for registry in ALL {
        if !peers(&["crane", "cosign", registry]) {
            continue;
        }
        let (real, s) = (Real::start(registry).unwrap(), super::sandbox());
        let at = |tag: &str| format!("{}/app:{tag}", real.host);
        crane_append(&s, &at("a"), "a");
        crane_append(&s, &at("b"), "b");
        let kind = s.peer("crane", &format!("manifest {}", at("a"))).exits(0).json();
        assert_eq!(kind["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
        for base in ["", "--docker-empty-base"] {
            let list = at(if base.is_empty() { "index" } else { "list" });
            let append = format!("index append -m {} -m {} -t {list} {base}", at("a"), at("b"));
            s.peer("crane", &append).exits(0);
            s.ocisign(&format!("sign --key me.key {list}")).exits(0).says(&digest(&s, &list));
            s.ocisign(&format!("verify --key me.pub --depth contents {list}")).exits(0);
            s.peer("cosign", &format!("verify --insecure-ignore-tlog --key me.pub {list}"))
                .exits(0);
        }
        s.ocisign(&format!("verify --key me.pub {}", at("a"))).exits(1);
        s.ocisign(&format!("sign --key me.key {}", at("a"))).exits(0);
        s.ocisign(&format!("verify --key me.pub --depth contents {}", at("a"))).exits(0);
    }
}

#[test]
fn artifacts_by_oras() {
    for registry in ALL {
        if !peers(&["oras", "cosign", registry]) {
            continue;
        }
        let (real, s) = (Real::start(registry).unwrap(), super::sandbox());
        let image = format!("{}/chart:v1", real.host);
        s.write("chart.tgz", "not an image at all");
        let kind = "--artifact-type application/vnd.example.chart";
        let push = format!("push --plain-http {kind} {image} chart.tgz:application/x-chart");
        s.peer("oras", &push).exits(0);
        let signed = s.ocisign(&format!("sign --key me.key {image}")).exits(0);
        s.ocisign(&format!("verify --key me.pub {image}")).exits(0);
        s.ocisign(&format!("verify --key other.pub {image}")).exits(1);
        s.peer("cosign", &format!("verify --insecure-ignore-tlog --key me.pub {image}")).exits(0);
        let attached = signed.stdout.lines().last().unwrap().trim();
        s.peer("oras", &format!("discover --plain-http {image}")).exits(0).says(attached);
    }
}

#[test]
fn layouts_by_skopeo_and_back() {
    if !peers(&["skopeo", "crane", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    let (image, back) = (format!("{}/app:v1", real.host), format!("{}/app:back", real.host));
    s.write("accept.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    push_demo(&s, &image);
    let copy = "--policy accept.json copy -q --all";
    s.peer("skopeo", &format!("{copy} --src-tls-verify=false docker://{image} oci:layout:v1"))
        .exits(0);
    let signed = s.ocisign(&format!("sign --key me.key --as {image} oci:layout:v1")).exits(0);
    s.ocisign(&format!("verify --key me.pub --reference exact --as {image} oci:layout:v1"))
        .exits(0);
    s.peer("skopeo", &format!("{copy} --dest-tls-verify=false oci:layout:v1 docker://{back}"))
        .exits(0);
    signed.says(&format!("signed {}", digest(&s, &back)));
    // skopeo leaves what is attached behind, `ocisign copy` does not
    s.ocisign(&format!("verify --key me.pub {back}")).exits(1);
    s.ocisign(&format!("copy oci:layout:v1 {back}")).exits(0);
    s.ocisign(&format!("verify --key me.pub {back}")).exits(0);
}

/// The digests of an index's children.
fn children(s: &Sandbox, image: &str) -> Vec<String> {
    let index = s.peer("crane", &format!("manifest {image}")).exits(0).json();
    let children = index["manifests"].as_array().unwrap().iter();
    children.map(|child| child["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_index_signed_alone_and_with_its_children() {
    if !peers(&["crane", "cosign", "distribution"]) {
        return;
    }
    let (real, s) = (Real::start("distribution").unwrap(), super::sandbox());
    let (repository, image) = (format!("{}/app", real.host), format!("{}/app:v1", real.host));
    for on in ["root", "each", "covering"] {
        let signed = format!(r#""on": "{on}", "reference": "repository""#);
        write_policy(&s, &format!("{on}.json"), &signed);
    }
    push_demo(&s, &image);
    let (index, children) = (digest(&s, &image), children(&s, &image));
    let verify =
        |policy: &str, image: &str| s.ocisign(&format!("verify --policy {policy}.json {image}"));
    for on in ["root", "each", "covering"] {
        verify(on, &image).exits(1);
    }

    s.ocisign(&format!("sign --key me.key {image}")).exits(0);
    for (on, code) in [("root", 0), ("each", 1), ("covering", 0)] {
        verify(on, &image).exits(code);
    }
    let child = format!("{repository}@{}", children[0]);
    verify("root", &child).exits(1);
    verify("root", &format!("--parent {index} {child}")).exits(0);
    verify("root", &format!("--parent {} {child}", children[1])).fails();

    let signed = s.ocisign(&format!("sign --key me.key --recursive {image}")).exits(0);
    assert_eq!(signed.stdout.matches("signed sha256:").count(), children.len(), "{signed}");
    verify("each", &image).exits(0);
    for child in &children {
        let child = format!("{repository}@{child}");
        verify("root", &child).exits(0);
        s.peer("cosign", &format!("verify --insecure-ignore-tlog --key me.pub {child}")).exits(0);
    }
}

#[test]
fn an_index_that_cosign_signed_recursively() {
    if !peers(&["crane", "cosign", "referrers-registry"]) {
        return;
    }
    let (real, s) = (Real::start("referrers-registry").unwrap(), super::sandbox());
    let image = format!("{}/app:v1", real.host);
    s.write("offline.json", OFFLINE);
    write_policy(&s, "each.json", r#""on": "each", "reference": "none""#);
    push_demo(&s, &image);
    s.peer("cosign", "import-key-pair --yes --key me.key --output-key-prefix theirs").exits(0);
    let sign = "sign --yes --key theirs.key --signing-config offline.json";
    s.peer("cosign", &format!("{sign} {image}")).exits(0);
    s.ocisign(&format!("verify --policy each.json {image}")).exits(1);
    s.peer("cosign", &format!("{sign} --recursive {image}")).exits(0);
    s.ocisign(&format!("verify --policy each.json {image}")).exits(0);
}
