//! The image's shape as the checks see it: leaves, ancestors, what is wrong
//! and what is missing.

use crate::image::{Depth, Node, NodeKind, NodeState, Shape};
use crate::policy::Request;

/// A shape with what is asked of it again and again.
pub(super) struct Tree<'a> {
    pub(super) shape: &'a Shape,
    children: Vec<Vec<usize>>,
    /// Whether the node counts: attachments and what they hold do not.
    kept: Vec<bool>,
}

/// What kept a tree from being recomputed as deep as asked.
pub(super) struct Gap {
    pub(super) text: String,
    /// A layer whose bytes live elsewhere, which `image` checks may deny.
    pub(super) external: bool,
}

impl<'a> Tree<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        let mut children = vec![Vec::new(); shape.nodes.len()];
        let mut kept: Vec<bool> = Vec::with_capacity(shape.nodes.len());
        for (at, node) in shape.nodes.iter().enumerate() {
            let above = node.parent.filter(|parent| *parent < at);
            if let Some(list) = above.and_then(|parent| children.get_mut(parent)) {
                list.push(at);
            }
            let hangs = at == 0 || above.is_some_and(|p| kept.get(p).copied().unwrap_or(false));
            kept.push(hangs && !shape.is_attachment(at));
        }
        Self { shape, children, kept }
    }

    pub(super) fn node(&self, at: usize) -> Option<&'a Node> {
        self.shape.nodes.get(at)
    }

    pub(super) fn children(&self, at: usize) -> impl Iterator<Item = (usize, &'a Node)> + '_ {
        self.children.get(at).into_iter().flatten().filter_map(|i| Some((*i, self.node(*i)?)))
    }

    /// The nodes that checks look at, attachments left out.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (usize, &'a Node)> + '_ {
        let kept = self.kept.iter().copied();
        self.shape.nodes.iter().zip(kept).enumerate().filter_map(|(i, (n, k))| k.then_some((i, n)))
    }

    /// The root if it is no index, else every child that is no index,
    /// attachments left out.
    pub(super) fn leaves(&self) -> Vec<usize> {
        self.nodes()
            .filter(|(_, node)| match node.kind {
                NodeKind::Manifest | NodeKind::Opaque | NodeKind::File => true,
                NodeKind::Index | NodeKind::Config | NodeKind::Layer => false,
            })
            .map(|(at, _)| at)
            .collect()
    }

    /// `at` and what is above it, up to the root.
    pub(super) fn with_ancestors(&self, at: usize) -> Vec<usize> {
        let mut path = vec![at];
        let mut here = at;
        // a parent stands before its child, so this ends
        while let Some(parent) = self.node(here).and_then(|n| n.parent).filter(|p| *p < here) {
            path.push(parent);
            here = parent;
        }
        path
    }

    /// Row 1: what is wrong, within the depth that was recomputed.
    pub(super) fn faults(&self, request: &Request) -> Vec<String> {
        let mut faults: Vec<_> = self.shape.nodes.iter().filter_map(fault).collect();
        let asked = request.digest.to_string();
        if self.node(0).is_some_and(|root| root.digest != asked) {
            faults.push(format!("the tree's root is not the digest that was asked, {asked}"));
        }
        if request.reference.digest().is_some_and(|digest| *digest != request.digest) {
            faults.push(format!("the reference names another digest than {asked}"));
        }
        faults
    }

    /// What keeps the tree from being known down to `depth`.
    pub(super) fn gaps(&self, depth: Depth) -> Vec<Gap> {
        let certain = |text: String| Gap { text, external: false };
        let mut gaps = Vec::new();
        if self.shape.nodes.is_empty() {
            gaps.push(certain("the tree has no root".to_owned()));
        }
        if self.shape.depth < depth {
            let (reached, asked) = (self.shape.depth.as_str(), depth.as_str());
            gaps.push(certain(format!(
                "the image was recomputed to depth {reached}, and {asked} is asked; \
                 run again with `--depth {asked}`"
            )));
        }
        for (at, node) in self.shape.nodes.iter().enumerate() {
            if at > 0 && node.parent.is_none_or(|parent| parent >= at) {
                gaps.push(certain(format!("{} hangs below no node of the tree", named(node))));
            }
            gaps.extend(gap(node, depth));
        }
        gaps
    }
}

fn fault(node: &Node) -> Option<String> {
    let what = match &node.state {
        NodeState::Mismatch(detail) => format!("has other bytes: {detail}"),
        NodeState::SizeMismatch(detail) => format!("has another size: {detail}"),
        NodeState::Unverifiable(detail) => format!("cannot be recomputed: {detail}"),
        NodeState::Ambiguous(detail) => format!("can be read in two ways: {detail}"),
        NodeState::Malformed(detail) => format!("breaks its format: {detail}"),
        NodeState::Unpinned(detail) => format!("is not pinned: {detail}"),
        NodeState::Verified
        | NodeState::NotRead
        | NodeState::NotContentAddressed(_)
        | NodeState::Missing
        | NodeState::External(_)
        | NodeState::LimitExceeded(_) => return None,
    };
    Some(format!("{} {what}", named(node)))
}

fn gap(node: &Node, depth: Depth) -> Option<Gap> {
    let layer = match node.kind {
        NodeKind::Layer => true,
        NodeKind::Index
        | NodeKind::Manifest
        | NodeKind::Config
        | NodeKind::Opaque
        | NodeKind::File => false,
    };
    if layer && depth < Depth::Layers {
        return None;
    }
    let (what, external) = match &node.state {
        NodeState::NotRead => ("was not read".to_owned(), false),
        NodeState::Missing => ("is missing from the store".to_owned(), false),
        NodeState::External(_) => ("is kept elsewhere (`urls`)".to_owned(), layer),
        NodeState::LimitExceeded(detail) => (format!("is beyond a limit: {detail}"), false),
        NodeState::Verified
        | NodeState::Mismatch(_)
        | NodeState::SizeMismatch(_)
        | NodeState::Unverifiable(_)
        | NodeState::Ambiguous(_)
        | NodeState::Malformed(_)
        | NodeState::Unpinned(_)
        | NodeState::NotContentAddressed(_) => return None,
    };
    Some(Gap { text: format!("{} {what}", named(node)), external })
}

/// A node by kind and digest, for people.
pub(super) fn named(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::Index => "index",
        NodeKind::Manifest => "manifest",
        NodeKind::Config => "config",
        NodeKind::Layer => "layer",
        NodeKind::Opaque => "unread child",
        NodeKind::File => "file",
    };
    format!("{kind} {}", node.digest)
}
