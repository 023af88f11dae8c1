//! The tree of an ACI: the file, the image ID of the tar in it, its manifest,
//! and what it depends on.
//!
//! Like a `TreeBuilder` it asks for content and is fed. A dependency with an
//! image ID is an edge like that of a digest: what is found must have exactly
//! that ID. One without is a hole in the tree, and nothing is looked for.

use std::collections::BTreeMap;

use super::{AciCheck, AciId, AciManifest, AciName, Dependency};
use crate::image::layer::Fault;
use crate::image::tree::{FileCheck, bare};
use crate::image::{
    Depth, Digest, ImageTree, Limits, Node, NodeKind, NodeState, Platform, media_type,
};

/// A dependency that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AciWant {
    /// Its image ID.
    pub id: AciId,
    /// Its name and labels, as hints where it may be.
    pub name: AciName,
}

/// The walk over an ACI and its dependencies, without IO.
#[derive(Debug)]
pub struct AciTree {
    file: FileCheck,
    depth: Depth,
    root: NodeState,
    nodes: Vec<Node>,
    /// Dependencies that are not looked for yet, the next one last.
    waiting: Vec<Waiting>,
    found: BTreeMap<AciId, Option<(AciCheck, u64)>>,
    most: usize,
    deepest: usize,
    /// What is left of the memory for manifests, in bytes.
    budget: u64,
}

#[derive(Debug)]
struct Waiting {
    dependency: Dependency,
    parent: usize,
    /// IDs from the image down to the parent.
    above: Vec<Digest>,
}

impl AciTree {
    /// Begins with an image that was read whole.
    pub fn new(file: FileCheck, check: &AciCheck, depth: Depth, limits: &Limits) -> Self {
        let mut tree = Self {
            file,
            depth,
            root: state(check),
            nodes: Vec::new(),
            waiting: Vec::new(),
            found: BTreeMap::new(),
            most: limits.aci_dependencies,
            deepest: limits.aci_dependency_depth,
            budget: limits.tree_json_bytes,
        };
        if let Some(id) = check.id() {
            let at = tree.push(layer(id.to_string(), check.size(), 0));
            tree.set(at, NodeState::Verified);
            tree.plant(check, 0, std::slice::from_ref(id));
        }
        tree
    }

    /// Holds the image against the name and labels by which it was asked for:
    /// whose signature counts was chosen by them.
    pub fn must_be(&mut self, check: &AciCheck, asked: &AciName) {
        if let Some(why) = check.manifest().and_then(|manifest| asked.misses(manifest)) {
            self.root = NodeState::Malformed(why);
        }
    }

    /// The next dependency, depth first, in the order of the manifests.
    pub fn want(&mut self) -> Option<AciWant> {
        loop {
            let next = self.waiting.last()?;
            let id = next.dependency.id();
            let name = AciName::new(&next.dependency.image_name, &next.dependency.labels);
            match (id, name) {
                (Some(id), Ok(name)) if !self.found.contains_key(&id) && self.may_go_on() => {
                    return Some(AciWant { id, name });
                }
                _ => self.settle(),
            }
        }
    }

    /// Gives what was found and read for a want, with the bytes of its file.
    pub fn supply(&mut self, want: &AciWant, check: AciCheck, bytes: u64) {
        let manifest = check.manifest.as_ref().map_or(0, |read| read.bytes.len() as u64);
        match self.budget.checked_sub(manifest) {
            Some(left) => self.budget = left,
            // no more is wanted, and this one is not there
            None => {
                self.most = self.found.len();
                return;
            }
        }
        self.found.insert(want.id.clone(), Some((check, bytes)));
    }

    /// Says that nothing was found.
    pub fn missing(&mut self, want: &AciWant) {
        self.found.insert(want.id.clone(), None);
    }

    /// The tree.
    pub fn finish(mut self) -> ImageTree {
        while let Some(want) = self.want() {
            self.missing(&want);
        }
        ImageTree::of_file(self.file, media_type::ACI, self.root, self.depth, self.nodes)
    }

    fn may_go_on(&self) -> bool {
        self.found.len() < self.most
            && self.waiting.last().is_none_or(|next| next.above.len() <= self.deepest)
    }

    /// Makes a node of the next dependency, and of what is below it.
    fn settle(&mut self) {
        let Some(Waiting { dependency, parent, above }) = self.waiting.pop() else { return };
        let id = dependency.id();
        let digest = match &id {
            Some(AciId::Whole(digest)) => digest.to_string(),
            Some(AciId::Truncated(_)) | None => dependency.image_name.clone(),
        };
        let at = self.push(layer(digest, dependency.size.unwrap_or_default(), parent));
        let found = id.as_ref().and_then(|id| self.found.get(id)).cloned();
        let state = self.judge(&dependency, id.as_ref(), found.as_ref(), &above);
        let good = state == NodeState::Verified;
        self.set(at, state);
        let name = format!("dependency `{}`", dependency.image_name);
        if let Some(node) = self.nodes.get_mut(at - 1) {
            node.warnings.insert(0, name);
        }
        if let (true, Some(Some((check, _))), Some(AciId::Whole(id))) = (good, found, id) {
            if let Some(node) = self.nodes.get_mut(at - 1) {
                node.size = check.size();
            }
            let above: Vec<_> = above.into_iter().chain([id]).collect();
            self.plant(&check, at, &above);
        }
    }

    fn judge(
        &self,
        dependency: &Dependency,
        id: Option<&AciId>,
        found: Option<&Option<(AciCheck, u64)>>,
        above: &[Digest],
    ) -> NodeState {
        let id = match id {
            None => {
                let why = "it names no imageID, so that any image of that name would do; \
                           build the image again with one";
                return NodeState::Unpinned(why.to_owned());
            }
            Some(AciId::Truncated(_)) => {
                let why = "its imageID is a truncated key of 256 bits; write all 128 digits";
                return NodeState::Unpinned(why.to_owned());
            }
            Some(AciId::Whole(id)) => id,
        };
        if above.contains(id) {
            return NodeState::Malformed("it depends on itself".to_owned());
        }
        match found {
            None => {
                let (most, deepest) = (self.most, self.deepest);
                let why = format!("over {most} dependencies, or over {deepest} deep, or too large");
                NodeState::LimitExceeded(why)
            }
            Some(None) => NodeState::Missing,
            Some(Some((check, bytes))) => pinned(dependency, id, check, *bytes),
        }
    }

    /// Adds the manifest of an image that was read, and what it depends on.
    fn plant(&mut self, check: &AciCheck, parent: usize, above: &[Digest]) {
        let Ok(read) = &check.manifest else { return };
        let mut node = bare(
            NodeKind::Config,
            Digest::sha256(&read.bytes).to_string(),
            read.bytes.len() as u64,
            media_type::ACI_MANIFEST.to_owned(),
        );
        node.parent = Some(parent);
        node.state = match &read.manifest {
            Ok(_) => NodeState::Verified,
            Err(why) => NodeState::Malformed(why.clone()),
        };
        if let Ok(manifest) = &read.manifest {
            describe(&mut node, manifest);
            node.json = serde_json::from_slice(&read.bytes).ok();
        }
        if read.devices > 0 {
            node.warnings.push(format!("the root file system has {} devices", read.devices));
        }
        self.push(node);
        let dependencies = read.manifest.iter().flat_map(|manifest| &manifest.dependencies);
        let waiting = dependencies.take(self.most.saturating_add(1)).map(|dependency| Waiting {
            dependency: dependency.clone(),
            parent,
            above: above.to_vec(),
        });
        let waiting: Vec<_> = waiting.collect();
        self.waiting.extend(waiting.into_iter().rev());
    }

    /// Adds a node; gives its place in the whole list, in which the root is 0.
    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len()
    }

    fn set(&mut self, at: usize, state: NodeState) {
        if let Some(node) = self.nodes.get_mut(at - 1) {
            node.state = state;
        }
    }
}

fn layer(digest: String, size: u64, parent: usize) -> Node {
    let mut node = bare(NodeKind::Layer, digest, size, media_type::ACI_TAR.to_owned());
    node.parent = Some(parent);
    node
}

/// What the file is worth by itself.
fn state(check: &AciCheck) -> NodeState {
    match &check.manifest {
        Ok(_) => NodeState::Verified,
        Err(Fault::Malformed(why)) => NodeState::Malformed(why.clone()),
        Err(Fault::Limit(why)) => NodeState::LimitExceeded(why.clone()),
    }
}

/// Holds what was found against what the dependency asks for.
fn pinned(dependency: &Dependency, id: &Digest, check: &AciCheck, bytes: u64) -> NodeState {
    let Some(actual) = check.id() else { return state(check) };
    if actual != id {
        return NodeState::Mismatch(format!("the image found for it is {actual}"));
    }
    // the specification does not say whether it counts the tar or the file
    if let Some(size) = dependency.size.filter(|size| *size != bytes && *size != check.size()) {
        let tar = check.size();
        return NodeState::SizeMismatch(format!(
            "{bytes} bytes, {tar} uncompressed, instead of {size}"
        ));
    }
    let name = AciName::new(&dependency.image_name, &dependency.labels);
    match (check.manifest(), name) {
        (Some(manifest), Ok(name)) => match name.misses(manifest) {
            None => NodeState::Verified,
            Some(why) => NodeState::Malformed(why),
        },
        (None, _) => NodeState::Malformed(check.fault().unwrap_or_default()),
        (_, Err(error)) => NodeState::Malformed(error.to_string()),
    }
}

fn describe(node: &mut Node, manifest: &AciManifest) {
    node.warnings.push(format!("calls itself `{}`", manifest.title()));
    node.annotations =
        manifest.annotations.iter().map(|a| (a.name.clone(), a.value.clone())).collect();
    node.platform = platform(manifest);
}

/// The platform as OCI writes it; `None` where the image names none.
pub(super) fn platform(manifest: &AciManifest) -> Option<Platform> {
    let os = manifest.label("os")?;
    let (architecture, variant) = match manifest.label("arch").unwrap_or_default() {
        "i386" => ("386", None),
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", Some("v8")),
        "aarch64_be" => ("arm64be", None),
        "armv6l" => ("arm", Some("v6")),
        "armv7l" => ("arm", Some("v7")),
        "armv7b" => ("armbe", Some("v7")),
        other => (other, None),
    };
    Some(Platform {
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.map(str::to_owned),
        os_version: None,
    })
}
