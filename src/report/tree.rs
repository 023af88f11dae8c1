//! A rebuilt tree, for people and for machines.

use super::escape::escaped;
use super::text::{Ink, Style};
use crate::image::{Node, NodeKind, NodeState, Shape};

/// The tree as indented text, one line a node.
pub fn tree_text(shape: &Shape, style: Style) -> String {
    let mut out = String::new();
    for (at, node) in shape.nodes.iter().enumerate() {
        let indent = "  ".repeat(ancestors(shape, at));
        let (word, detail) = state(&node.state);
        let mark = style.paint(ink(&node.state), word);
        out.push_str(&format!(
            "{indent}{:8} {}  {} bytes  {}{}  {mark}{}\n",
            node.kind,
            escaped(&node.digest),
            node.size,
            escaped(&node.media_type),
            platform(node),
            if detail.is_empty() { String::new() } else { format!(": {}", escaped(&detail)) },
        ));
        for warning in &node.warnings {
            out.push_str(&format!("{indent}  note: {}\n", escaped(warning)));
        }
    }
    out.push_str(&summary(shape));
    out
}

/// The tree as a drawing: branches, what each node is, how it stands.
pub fn tree_drawing(shape: &Shape, style: Style) -> String {
    let mut out = String::new();
    draw(shape, 0, "", style, &mut out);
    out
}

/// One node, then its children behind a rail. A shape's parents stand before
/// their children, so this ends.
fn draw(shape: &Shape, at: usize, rail: &str, style: Style, out: &mut String) {
    let Some(node) = shape.nodes.get(at) else { return };
    let (word, detail) = state(&node.state);
    let detail = if detail.is_empty() { String::new() } else { format!(": {}", escaped(&detail)) };
    out.push_str(&format!(
        "{} {}{}  {}{detail}\n",
        node.kind.to_string().trim_end(),
        short(&node.digest),
        platform(node),
        style.paint(ink(&node.state), word),
    ));
    let children: Vec<usize> = shape.children(at).filter(|child| *child > at).collect();
    for (i, child) in children.iter().enumerate() {
        let last = i + 1 == children.len();
        out.push_str(&format!("{rail}{}", if last { "└─ " } else { "├─ " }));
        draw(shape, *child, &format!("{rail}{}", if last { "   " } else { "│  " }), style, out);
    }
}

/// A digest short enough for a line: the algorithm and twelve of its digits.
fn short(digest: &str) -> String {
    let end = digest.find(':').map_or(12, |colon| colon + 13);
    match digest.get(..end) {
        Some(begin) if begin.len() < digest.len() => format!("{}…", escaped(begin)),
        Some(_) | None => escaped(digest),
    }
}

/// The tree as JSON: the depth and the nodes, documents left out.
pub fn tree_json(shape: &Shape) -> String {
    let mut shape = shape.clone();
    for node in &mut shape.nodes {
        node.json = None;
    }
    let value = serde_json::json!({ "version": "tree/1", "tree": shape });
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

fn summary(shape: &Shape) -> String {
    let count = |kind| shape.nodes.iter().filter(|n| n.kind == kind).count();
    let good = shape.nodes.iter().filter(|n| n.state == NodeState::Verified).count();
    let unread = shape.nodes.iter().filter(|n| n.state == NodeState::NotRead).count();
    let bytes: u64 = shape
        .nodes
        .iter()
        .filter(|n| n.state == NodeState::Verified)
        .fold(0, |sum, node| sum.saturating_add(node.size));
    format!(
        "{} nodes ({} indexes, {} manifests, {} configs, {} layers): {good} verified, {bytes} bytes{}\n",
        shape.nodes.len(),
        count(NodeKind::Index),
        count(NodeKind::Manifest),
        count(NodeKind::Config),
        count(NodeKind::Layer),
        if unread == 0 { String::new() } else { format!("; {unread} not read at this depth") },
    )
}

fn ancestors(shape: &Shape, at: usize) -> usize {
    let mut depth = 0;
    let mut node = shape.nodes.get(at);
    // parents stand before children, so this ends; the bound is for declared shapes
    while let Some(parent) = node.and_then(|n| n.parent).filter(|_| depth < 16) {
        depth += 1;
        node = shape.nodes.get(parent);
    }
    depth
}

fn platform(node: &Node) -> String {
    let platform = node.platform.as_ref().or(node.declared_platform.as_ref());
    platform.map_or(String::new(), |p| format!("  {}", escaped(&p.to_string())))
}

fn ink(state: &NodeState) -> Ink {
    match state {
        NodeState::Verified => Ink::Good,
        NodeState::NotRead => Ink::Faint,
        NodeState::Missing | NodeState::External(_) | NodeState::LimitExceeded(_) => Ink::Doubt,
        NodeState::Mismatch(_)
        | NodeState::SizeMismatch(_)
        | NodeState::Unverifiable(_)
        | NodeState::Ambiguous(_)
        | NodeState::Malformed(_)
        | NodeState::Unpinned(_) => Ink::Bad,
        NodeState::NotContentAddressed(_) => Ink::Doubt,
    }
}

fn state(state: &NodeState) -> (&'static str, String) {
    match state {
        NodeState::Verified => ("verified", String::new()),
        NodeState::NotRead => ("not read", String::new()),
        NodeState::Mismatch(what) => ("mismatch", what.clone()),
        NodeState::SizeMismatch(what) => ("size mismatch", what.clone()),
        NodeState::Unverifiable(what) => ("unverifiable", what.clone()),
        NodeState::Missing => ("missing", String::new()),
        NodeState::External(urls) => ("external", urls.join(" ")),
        NodeState::Ambiguous(what) => ("ambiguous", what.clone()),
        NodeState::Malformed(what) => ("malformed", what.clone()),
        NodeState::LimitExceeded(what) => ("limit exceeded", what.clone()),
        NodeState::Unpinned(what) => ("unpinned", what.clone()),
        NodeState::NotContentAddressed(what) => ("not content-addressed", what.clone()),
    }
}
