//! The tree of an archive of Docker v1: the file, the images in it and their
//! layers. Only the file has a digest, and the tree says so at every node.

use super::{V1Archive, V1Check, V1Image};
use crate::image::layer::Fault;
use crate::image::tree::{FileCheck, bare};
use crate::image::{Depth, ImageTree, Limits, Node, NodeKind, NodeState, Platform, media_type};

/// What an id is, at each node that goes by one.
const ID: &str = "it goes by an id, which is no digest";

/// The tree of a file that was read whole; of one image in it where `only`
/// names it.
pub fn tree(
    file: FileCheck,
    check: &V1Check,
    only: Option<&str>,
    depth: Depth,
    limits: &Limits,
) -> ImageTree {
    let (state, nodes) = match &check.archive {
        Ok(archive) => match nodes(archive, only, limits) {
            Ok(nodes) => (NodeState::Verified, nodes),
            Err(state) => (state, Vec::new()),
        },
        Err(fault) => (state(fault), Vec::new()),
    };
    ImageTree::of_file(file, media_type::DOCKER_V1_ARCHIVE, state, depth, nodes)
}

fn nodes(archive: &V1Archive, only: Option<&str>, limits: &Limits) -> Result<Vec<Node>, NodeState> {
    let tops = match only {
        Some(name) => archive.named(name).into_iter().collect(),
        None => archive.tops(),
    };
    let mut nodes = Vec::new();
    for top in tops {
        let chain = archive.chain(top);
        if nodes.len() + chain.len() >= limits.tree_nodes {
            let most = limits.tree_nodes;
            return Err(NodeState::LimitExceeded(format!(
                "more than {most} nodes; name one image"
            )));
        }
        nodes.push(image(archive, top));
        let parent = nodes.len(); // the root stands before the list
        nodes.extend(chain.into_iter().map(|image| layer(image, parent)));
    }
    if let (Some(first), true) = (nodes.first_mut(), archive.strangers > 0) {
        first.warnings.push(format!("{} other files lie in the archive", archive.strangers));
    }
    Ok(nodes)
}

fn image(archive: &V1Archive, top: &V1Image) -> Node {
    let kind = media_type::DOCKER_V1_IMAGE.to_owned();
    let mut node = bare(NodeKind::Config, top.id.clone(), top.json.len() as u64, kind);
    node.parent = Some(0);
    node.state = NodeState::NotContentAddressed(ID.to_owned());
    node.warnings.extend(archive.names_of(&top.id).map(|name| format!("named `{name}`")));
    let Platform { os, architecture, .. } = &top.platform;
    node.platform =
        Some(top.platform.clone()).filter(|_| !os.is_empty() && !architecture.is_empty());
    node
}

fn layer(image: &V1Image, parent: usize) -> Node {
    let kind = media_type::DOCKER_LAYER.to_owned();
    let mut node = bare(NodeKind::Layer, image.id.clone(), image.layer.size, kind);
    node.parent = Some(parent);
    node.state = match &image.layer.fault {
        Some(fault) => state(fault),
        None => NodeState::NotContentAddressed(ID.to_owned()),
    };
    node.diff_id.clone_from(&image.layer.digest);
    node
}

fn state(fault: &Fault) -> NodeState {
    match fault {
        Fault::Malformed(why) => NodeState::Malformed(why.clone()),
        Fault::Limit(why) => NodeState::LimitExceeded(why.clone()),
    }
}
