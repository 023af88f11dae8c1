//! The check `image`: the shape of the image itself.
//!
//! Lists are allow-lists over every node of that kind, attachments left out.
//! A limit that is asked for and cannot be shown to be kept is not kept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::image::{Depth, Node, NodeKind, NodeState, media_type};
use crate::policy::ImageCheck;
use crate::policy::glob::Glob;
use crate::policy::schema::Schema;

use super::Context;
use super::names::clip;
use super::platforms;
use super::tree::{Tree, named};

/// What is wrong with the image; empty where the check holds.
pub(super) fn findings(context: &Context<'_>, ask: &ImageCheck) -> Vec<String> {
    let tree = &context.tree;
    let mut findings = Vec::new();
    let Some(root) = tree.node(0) else {
        return vec!["there is no image to look at".to_owned()];
    };
    for (at, node) in tree.nodes() {
        findings.extend(algorithm(ask, node));
        match node.kind {
            NodeKind::Index => findings.extend(index(tree, ask, at, node)),
            NodeKind::Manifest => findings.extend(manifest(tree, ask, at, node)),
            NodeKind::Config => findings.extend(config(ask, node)),
            NodeKind::Layer => findings.extend(layer(context, ask, node)),
            // neither is read as a manifest; what each is must be allowed
            NodeKind::Opaque | NodeKind::File => findings.extend(opaque(ask, node)),
        }
    }
    findings.extend(annotations(&ask.annotations, root));
    findings.extend(too_many_manifests(tree, ask));
    findings.extend(no_manifest(tree, ask));
    findings.extend(platforms::findings(tree, ask));
    findings
}

/// What the check asks for, in words.
pub(super) fn need(ask: &ImageCheck) -> String {
    let list = |name: &str, set: &Option<BTreeSet<String>>| {
        let words = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        set.as_ref().map(|set| format!("{name}: {}", words(set)))
    };
    let most = |name: &str, limit: Option<u64>| limit.map(|n| format!("{name}: {n}"));
    let mut parts = Vec::new();
    parts.extend(ask.depth.map(|depth| format!("recomputed to depth {}", depth.as_str())));
    parts.extend(list("manifest types", &ask.manifest_types));
    parts.extend(list("config types", &ask.config_types));
    parts.extend(list("layer types", &ask.layer_types));
    parts.extend(ask.allow_empty.then(|| "no layers are fine".to_owned()));
    parts.extend(list("artifact types", &ask.artifact_types));
    parts.extend(ask.annotations.iter().map(|(key, glob)| format!("annotation {key}={glob}")));
    parts.extend(list("platforms required", &ask.platforms_require));
    parts.extend(list("platforms allowed", &ask.platforms_allow));
    let algorithms = |set: &BTreeSet<crate::image::Algorithm>| {
        set.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(", ")
    };
    parts.extend(ask.digest_algorithms.as_ref().map(|set| format!("digests: {}", algorithms(set))));
    parts.extend(most("most nested indexes", ask.max_depth));
    parts.extend(most("most manifests", ask.max_manifests));
    parts.extend(most("most layers", ask.max_layers));
    parts.extend(most("largest layer in bytes", ask.max_layer_bytes));
    parts.extend(most("largest image in bytes", ask.max_image_bytes));
    parts.extend(ask.manifest.as_ref().map(|_| "manifests of a schema".to_owned()));
    parts.extend(ask.config.as_ref().map(|_| "configs of a schema".to_owned()));
    match parts.is_empty() {
        true => "a recomputed image".to_owned(),
        false => parts.join("; "),
    }
}

fn algorithm(ask: &ImageCheck, node: &Node) -> Option<String> {
    let allowed = ask.digest_algorithms.as_ref()?;
    let own = node.digest.split(':').next().unwrap_or_default();
    let fine = allowed.iter().any(|algorithm| algorithm.as_str() == own);
    (!fine).then(|| format!("{} uses an algorithm that is not allowed", named(node)))
}

fn index(tree: &Tree<'_>, ask: &ImageCheck, at: usize, node: &Node) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(not_in(&ask.manifest_types, "manifestTypes", node));
    findings.extend(not_an_artifact_type(ask, node));
    let path = tree.with_ancestors(at).into_iter().filter_map(|at| tree.node(at));
    let nested = path.filter(|node| node.kind == NodeKind::Index).count() as u64;
    if ask.max_depth.is_some_and(|most| nested > most) {
        findings.push(format!("{} is nested {nested} indexes deep", named(node)));
    }
    findings
}

fn manifest(tree: &Tree<'_>, ask: &ImageCheck, at: usize, node: &Node) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(not_in(&ask.manifest_types, "manifestTypes", node));
    findings.extend(not_an_artifact_type(ask, node));
    if node.artifact_type.is_none() && ask.artifact_types.is_some() {
        findings.push(format!("{} has no artifact type", named(node)));
    }
    // schema 1 has its config in its history, where no check looks
    if media_type::is_schema_1(&node.media_type)
        && (ask.config_types.is_some() || ask.config.is_some())
    {
        findings.push(format!("{} is of schema 1 and has no config to look at", named(node)));
    }
    let layers =
        tree.children(at).filter(|(_, child)| child.kind == NodeKind::Layer).count() as u64;
    if layers == 0 && ask.layer_types.is_some() && !ask.allow_empty {
        findings.push(format!("{} has no layers; `allowEmpty` would allow that", named(node)));
    }
    if ask.max_layers.is_some_and(|most| layers > most) {
        findings.push(format!("{} has {layers} layers", named(node)));
    }
    let below = tree.children(at).map(|(_, child)| child.size);
    let bytes = below.fold(node.size, u64::saturating_add);
    findings.extend(too_large(ask, node, bytes));
    if ask.max_image_bytes.is_some() && tree.children(at).any(|(_, child)| unknown_size(child)) {
        findings.push(format!("{} does not say how large its layers are", named(node)));
    }
    findings.extend(schema(&ask.manifest, node, node.json.as_ref()));
    findings
}

fn too_large(ask: &ImageCheck, node: &Node, bytes: u64) -> Option<String> {
    let most = ask.max_image_bytes?;
    (bytes > most).then(|| format!("the image of {} has {bytes} bytes", named(node)))
}

/// Whether the size is one that nobody states or measured.
fn unknown_size(node: &Node) -> bool {
    node.media_type == media_type::DOCKER_SCHEMA_1_LAYER && node.state != NodeState::Verified
}

fn config(ask: &ImageCheck, node: &Node) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(not_in(&ask.config_types, "configTypes", node));
    // runtimes read a config whatever its media type says, so one that is not
    // read here must not escape the schema
    findings.extend(schema(&ask.config, node, node.json.as_ref()));
    findings
}

fn layer(context: &Context<'_>, ask: &ImageCheck, node: &Node) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(not_in(&ask.layer_types, "layerTypes", node));
    if ask.max_layer_bytes.is_some() && unknown_size(node) {
        findings.push(format!("{} states no size and was not read", named(node)));
    }
    if ask.max_layer_bytes.is_some_and(|most| node.size > most) {
        findings.push(format!("{} has {} bytes", named(node), node.size));
    }
    if context.depth >= Depth::Layers && !node.urls.is_empty() {
        findings.push(format!("{} may be fetched from elsewhere (`urls`)", named(node)));
    }
    findings
}

/// A child whose inside is not read counts against `manifestTypes`. What asks
/// about the inside fails on it, unless its type is listed there.
fn opaque(ask: &ImageCheck, node: &Node) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(not_in(&ask.manifest_types, "manifestTypes", node));
    findings.extend(too_large(ask, node, node.size));
    let inside = ask.config_types.is_some()
        || ask.layer_types.is_some()
        || ask.artifact_types.is_some()
        || ask.platforms_allow.is_some()
        || ask.max_layers.is_some()
        || ask.max_layer_bytes.is_some()
        || ask.manifest.is_some()
        || ask.config.is_some();
    if inside && ask.manifest_types.is_none() {
        findings.push(format!(
            "{} is of type `{}`, which is not looked into; list it in `manifestTypes` to let it pass",
            named(node),
            clip(&node.media_type)
        ));
    }
    findings
}

fn not_in(allowed: &Option<BTreeSet<String>>, field: &str, node: &Node) -> Option<String> {
    let allowed = allowed.as_ref()?;
    (!allowed.contains(&node.media_type)).then(|| {
        let given = clip(&node.media_type);
        format!("{} is of type `{given}`, which `{field}` does not list", named(node))
    })
}

fn not_an_artifact_type(ask: &ImageCheck, node: &Node) -> Option<String> {
    let (allowed, own) = (ask.artifact_types.as_ref()?, node.artifact_type.as_ref()?);
    (!allowed.contains(own)).then(|| {
        let given = clip(own);
        format!("{} is the artifact `{given}`, which `artifactTypes` does not list", named(node))
    })
}

fn annotations(ask: &BTreeMap<String, Glob>, root: &Node) -> Vec<String> {
    let miss = |(key, glob): (&String, &Glob)| match root.annotations.get(key) {
        Some(value) if glob.matches(value) => None,
        Some(value) => {
            Some(format!("the image is annotated {key}=`{}`, and `{glob}` is asked", clip(value)))
        }
        None => Some(format!("the image has no annotation {key}")),
    };
    ask.iter().filter_map(miss).collect()
}

fn too_many_manifests(tree: &Tree<'_>, ask: &ImageCheck) -> Option<String> {
    let most = ask.max_manifests?;
    let documents = tree.nodes().filter(|(_, node)| match node.kind {
        NodeKind::Index | NodeKind::Manifest | NodeKind::Opaque | NodeKind::File => true,
        NodeKind::Config | NodeKind::Layer => false,
    });
    let count = documents.count() as u64;
    (count > most).then(|| format!("the image has {count} manifests and indexes"))
}

/// A check about manifests, configs or layers needs at least one manifest.
fn no_manifest(tree: &Tree<'_>, ask: &ImageCheck) -> Option<String> {
    let asks = ask.config_types.is_some()
        || ask.artifact_types.is_some()
        || (ask.layer_types.is_some() && !ask.allow_empty)
        || ask.platforms_allow.is_some()
        || ask.manifest.is_some()
        || ask.config.is_some();
    (asks && tree.leaves().is_empty()).then(|| "the image has no manifest to look at".to_owned())
}

fn schema(schema: &Option<Schema>, node: &Node, json: Option<&Value>) -> Vec<String> {
    let Some(schema) = schema else { return Vec::new() };
    let Some(json) = json else {
        let kind = clip(&node.media_type);
        return vec![format!("{} is `{kind}`, which is not read as an image's", named(node))];
    };
    let violations = schema.violations(json);
    violations.into_iter().map(|text| format!("{}: {}", named(node), clip(&text))).collect()
}
