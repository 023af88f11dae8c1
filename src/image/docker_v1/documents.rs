//! What the documents of the archive say: images, their parents, their
//! names.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::rules::{Parts, at, malformed};
use super::{V1Layer, is_id};
use crate::image::json::{self, Scan};
use crate::image::layer::Fault;
use crate::image::{Limits, Platform, Reference};

/// Keys with a meaning in an image's `json`.
const KEYS: &[&str] = &["id", "parent", "created", "config", "container_config", "os", "variant"];
const ARCHITECTURE: &[&str] = &["architecture", "os.version", "author", "comment"];
const MAPS: &[&str] = &["Labels", "ExposedPorts", "Volumes"];

/// Longest chain of parents: the same bound as for the layers of later
/// archives. Docker's own was 127.
const CHAIN: usize = 127 * 8;

/// A sound archive.
#[derive(Debug)]
pub struct V1Archive {
    images: BTreeMap<String, V1Image>,
    /// `NAME:TAG` and the id of the image, as written.
    names: Vec<(String, String)>,
    /// Entries that belong to no image.
    pub(super) strangers: u64,
}

/// One image: a layer on a parent.
#[derive(Debug, PartialEq)]
pub struct V1Image {
    /// Its id: random, and no digest.
    pub id: String,
    /// The id of the image below.
    pub parent: Option<String>,
    /// The platform that it states.
    pub platform: Platform,
    /// Its document, byte by byte.
    pub json: Vec<u8>,
    /// Its layer.
    pub layer: V1Layer,
}

#[derive(Deserialize)]
struct Written {
    id: String,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    os: Option<String>,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default, rename = "os.version")]
    os_version: Option<String>,
}

impl V1Archive {
    pub(super) fn new(
        parts: BTreeMap<String, Parts>,
        repositories: Option<&[u8]>,
        strangers: u64,
        limits: &Limits,
    ) -> Result<Self, Fault> {
        let mut images = BTreeMap::new();
        for (id, parts) in parts {
            images.insert(id.clone(), image(id, parts, limits)?);
        }
        if images.is_empty() {
            return Err(malformed("there is no image in it"));
        }
        chains(&images)?;
        let names = match repositories {
            Some(bytes) => names(bytes, &images, limits)?,
            None => Vec::new(),
        };
        Ok(Self { images, names, strangers })
    }

    /// The names of one image.
    pub fn names_of(&self, id: &str) -> impl Iterator<Item = &str> {
        self.names.iter().filter(move |(_, own)| own == id).map(|(name, _)| name.as_str())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// The image of that name. `alpine:3` and `docker.io/library/alpine:3`
    /// are one name; an id is a name too.
    pub fn named(&self, name: &str) -> Option<&V1Image> {
        let whole = |text: &str| text.parse::<Reference>().ok().map(|name| name.to_string());
        let asked = whole(name);
        let mut names = self.names.iter();
        let found = names.find(|(own, _)| own == name || (asked.is_some() && whole(own) == asked));
        self.images.get(found.map_or(name, |(_, id)| id))
    }

    /// The images that have a name or that no other stands upon, by id.
    pub fn tops(&self) -> Vec<&V1Image> {
        let below: BTreeSet<_> =
            self.images.values().filter_map(|image| image.parent.as_deref()).collect();
        let named: BTreeSet<_> = self.names.iter().map(|(_, id)| id.as_str()).collect();
        let top = |image: &&V1Image| {
            named.contains(image.id.as_str()) || !below.contains(image.id.as_str())
        };
        self.images.values().filter(top).collect()
    }

    /// An image with all that it stands upon, the base first.
    pub fn chain<'a>(&'a self, top: &'a V1Image) -> Vec<&'a V1Image> {
        // the chains were walked when the archive was read, so this ends
        let below = |image: &&'a V1Image| self.images.get(image.parent.as_ref()?);
        let mut chain: Vec<_> = std::iter::successors(Some(top), below).take(CHAIN).collect();
        chain.reverse();
        chain
    }
}

fn image(id: String, parts: Parts, limits: &Limits) -> Result<V1Image, Fault> {
    let lacks = |file: &str| at(&id, &format!("has no `{file}`; the archive was cut or changed"));
    if let Some(version) = &parts.version
        && version.trim_ascii() != b"1.0"
    {
        return Err(at(&id, "has a VERSION that is not 1.0"));
    }
    let json = parts.json.ok_or_else(|| lacks("json"))?;
    let layer = parts.layer.ok_or_else(|| lacks("layer.tar"))?;
    let known = [KEYS, ARCHITECTURE].concat();
    let scan =
        Scan { known: &known, maps: MAPS, max_depth: limits.json_depth, integers_only: false };
    let bad = |why: String| at(&format!("{id}/json"), &format!("cannot be read: {why}"));
    // serde would read an array as an object whose members stand in order
    let value: serde_json::Value = scan.decode(&json).map_err(|error| bad(error.to_string()))?;
    if !value.is_object() {
        return Err(bad("it is no object".to_owned()));
    }
    let written: Written = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
    if written.id != id {
        return Err(bad("the id in it is another one than its folder's".to_owned()));
    }
    let parent = written.parent.filter(|parent| !parent.is_empty());
    if parent.as_deref().is_some_and(|parent| !is_id(parent)) {
        return Err(bad("its parent is no id".to_owned()));
    }
    let platform = Platform {
        architecture: architecture(written.architecture.as_deref().unwrap_or_default()).to_owned(),
        os: written.os.unwrap_or_default(),
        variant: written.variant,
        os_version: written.os_version,
    };
    Ok(V1Image { id, parent, platform, json, layer })
}

/// As Go names it. The first versions of Docker wrote what uname says.
pub(super) fn architecture(written: &str) -> &str {
    match written {
        "x86_64" => "amd64",
        named => named,
    }
}

/// Every chain of parents ends at an image without one, in this archive.
/// Each image is walked over once, however the chains join.
fn chains(images: &BTreeMap<String, V1Image>) -> Result<(), Fault> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for top in images.values() {
        let (mut path, mut on_path) = (Vec::new(), BTreeSet::new());
        let mut here = Some(top);
        while let Some(image) = here.filter(|image| !depths.contains_key(image.id.as_str())) {
            if path.len() > CHAIN {
                break;
            }
            if !on_path.insert(image.id.as_str()) {
                return Err(at(&image.id, "stands on itself: its parents go round"));
            }
            path.push(image.id.as_str());
            let missing = || at(&image.id, "stands on a parent that is not in the archive");
            let parent = image.parent.as_ref();
            here = parent.map(|parent| images.get(parent).ok_or_else(missing)).transpose()?;
        }
        let mut depth = here.and_then(|image| depths.get(image.id.as_str())).copied().unwrap_or(0);
        for id in path.into_iter().rev() {
            depth += 1;
            if depth > CHAIN {
                return Err(Fault::Limit(format!("`{id}` stands on more than {CHAIN} images")));
            }
            depths.insert(id, depth);
        }
    }
    Ok(())
}

/// `repositories`: `{"NAME": {"TAG": "ID"}}`.
fn names(
    bytes: &[u8],
    images: &BTreeMap<String, V1Image>,
    limits: &Limits,
) -> Result<Vec<(String, String)>, Fault> {
    let bad = |why: String| at("repositories", &format!("cannot be read: {why}"));
    json::scan(bytes, &[], limits.json_depth).map_err(|error| bad(error.to_string()))?;
    let written: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    let mut all = Vec::new();
    for (repository, tags) in written {
        for (tag, id) in tags {
            let name: String = format!("{repository}:{tag}").chars().take(300).collect();
            if !images.contains_key(&id) {
                return Err(at(
                    "repositories",
                    &format!("names an image for `{name}` that is not in the archive"),
                ));
            }
            if name.parse::<Reference>().is_err() {
                return Err(at("repositories", &format!("has `{name}`, which is no name")));
            }
            all.push((name, id));
        }
    }
    if all.len() > limits.tree_nodes {
        return Err(Fault::Limit(format!("more than {} names", limits.tree_nodes)));
    }
    Ok(all)
}
