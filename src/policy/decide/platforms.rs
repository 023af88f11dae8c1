//! Platforms of an image, read from its configs ("`image`", `platforms`).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::image::{Node, NodeKind, Platform};
use crate::policy::ImageCheck;

use super::tree::{Tree, named};

/// What is wrong with the platforms, where the check asks for any.
pub(super) fn findings(tree: &Tree<'_>, ask: &ImageCheck) -> Vec<String> {
    let (require, allow) = (ask.platforms_require.as_ref(), ask.platforms_allow.as_ref());
    if require.is_none() && allow.is_none() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut offered = BTreeSet::new();
    for (at, node) in tree.leaves().into_iter().filter_map(|at| Some((at, tree.node(at)?))) {
        let stated = stated(tree, at, node);
        findings.extend(mismatch(node, stated.as_ref()));
        let name = stated.as_ref().map(normal);
        match (&name, allow) {
            (Some(name), Some(allow)) if !allow.contains(name) => {
                findings.push(format!("{} is for {name}, which is not allowed", named(node)));
            }
            (None, Some(_)) => {
                findings.push(format!("the platform of {} cannot be read", named(node)));
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        // a descriptor alone offers nothing
        offered.extend(name.filter(|_| node.kind == NodeKind::Manifest));
    }
    if tree.node(0).is_some_and(|root| root.kind == NodeKind::Index) {
        let absent = require.into_iter().flatten().filter(|name| !offered.contains(*name));
        findings.extend(absent.map(|name| format!("the image has no platform {name}")));
    }
    findings
}

/// What a manifest's config says; of a child that ocisign does not read, what
/// its descriptor says, since there is nothing else.
fn stated(tree: &Tree<'_>, at: usize, node: &Node) -> Option<Platform> {
    if node.kind == NodeKind::Opaque {
        return node.declared_platform.clone();
    }
    let config = tree.children(at).find(|(_, child)| child.kind == NodeKind::Config);
    match config.and_then(|(_, config)| config.json.as_ref()) {
        Some(json) => read(json),
        None => node.platform.clone(),
    }
}

/// `os` and `architecture` must be there and may be empty; a `null` variant
/// is an absent one (config.md, "Any OPTIONAL field MAY be null").
fn read(config: &Value) -> Option<Platform> {
    let text = |key: &str| Some(config.get(key)?.as_str()?.to_owned());
    Some(Platform {
        architecture: text("architecture")?,
        os: text("os")?,
        variant: text("variant").filter(|variant| !variant.is_empty()),
        os_version: text("os.version").filter(|version| !version.is_empty()),
    })
}

fn mismatch(node: &Node, stated: Option<&Platform>) -> Option<String> {
    let (declared, stated) = (node.declared_platform.as_ref()?, stated?);
    let versions = (&declared.os_version, &stated.os_version);
    let same_version = match versions {
        (Some(declared), Some(stated)) => declared == stated,
        (Some(_) | None, None) | (None, Some(_)) => true,
    };
    if normal(declared) == normal(stated) && same_version {
        return None;
    }
    Some(format!(
        "platform-mismatch: {} is listed for {declared}, and its config says {stated}",
        named(node)
    ))
}

/// `os/architecture[/variant]`, with arm64/v8 = arm64 and arm = arm/v7.
fn normal(platform: &Platform) -> String {
    let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
    let variant = match (platform.architecture.as_str(), variant) {
        ("arm64", Some("v8")) => None,
        ("arm", None) => Some("v7"),
        (_, variant) => variant,
    };
    match variant {
        Some(variant) => format!("{}/{}/{variant}", platform.os, platform.architecture),
        None => format!("{}/{}", platform.os, platform.architecture),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_that_mean_the_same_are_the_same() {
        let normal = |os: &str, architecture: &str, variant: Option<&str>| {
            normal(&Platform {
                architecture: architecture.to_owned(),
                os: os.to_owned(),
                variant: variant.map(str::to_owned),
                os_version: None,
            })
        };
        assert_eq!(normal("linux", "arm64", Some("v8")), "linux/arm64");
        assert_eq!(normal("linux", "arm64", Some("v9")), "linux/arm64/v9");
        assert_eq!(normal("linux", "arm", None), "linux/arm/v7");
        assert_eq!(normal("linux", "arm", Some("v6")), "linux/arm/v6");
        assert_eq!(normal("linux", "amd64", Some("")), "linux/amd64");
    }
}
