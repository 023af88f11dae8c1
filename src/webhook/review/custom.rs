//! Places of images in custom resources: a file of JSONPaths (RFC 9535).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::image::json::Scan;
use crate::limits::Limits;
use crate::report::escaped;
use crate::webhook::PodAccess;

use super::kinds::GroupVersionKind;
use super::object::{At, no_twins};
use super::pod::{Found, KEYS, pod_spec};
use super::table::is_built_in;
use super::{Role, Unreadable, Use};

/// What the file says it is.
const VERSION: &str = "image-places/1";
/// Keys with a meaning.
const FIELDS: &[&str] = &["ocisign", "kinds", "group", "version", "kind", "podSpecs", "images"];
/// Longest path. The deepest places known have some sixty characters.
const PATH: usize = 1024;
/// Longest JSON pointer to an image, in bytes.
const POINTER: usize = 1024;

/// Why a file is no table of custom resources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadTable {
    /// Which rule is broken, where, and what to do.
    pub reason: String,
}

/// One custom kind.
#[derive(Debug, Clone)]
pub(super) struct Custom {
    pub(super) group: String,
    pub(super) kind: String,
    /// Every version where it names none.
    version: Option<String>,
    pod_specs: Vec<JsonPath>,
    images: Vec<JsonPath>,
    /// Names in the paths, and those of pod specs.
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ocisign: String,
    kinds: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    group: String,
    #[serde(default)]
    version: Option<String>,
    kind: String,
    #[serde(default)]
    pod_specs: Vec<String>,
    #[serde(default)]
    images: Vec<String>,
}

/// Reads the file.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Vec<Custom>, BadTable> {
    let bad = |reason: String| BadTable { reason };
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits.policy_bytes {
        return Err(bad(format!("the table is longer than {} bytes", limits.policy_bytes)));
    }
    let max_depth = limits.json_depth;
    let scan = Scan { known: FIELDS, maps: &[], max_depth, integers_only: true };
    let file: File = scan.decode(bytes).map_err(|e| bad(e.to_string()))?;
    if file.ocisign != VERSION {
        let found = escaped(&file.ocisign);
        return Err(bad(format!("`{found}` is no table that is known here; write `{VERSION}`")));
    }
    let mut entries: Vec<Custom> = Vec::new();
    for entry in file.kinds {
        let entry = entry.compile().map_err(bad)?;
        if entries.iter().any(|other| other.overlaps(&entry)) {
            let (group, kind) = (escaped(&entry.group), escaped(&entry.kind));
            return Err(bad(format!("`{kind}` of `{group}` stands twice; join the entries")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

impl Entry {
    fn compile(self) -> Result<Custom, String> {
        let named = format!("`{}` of `{}`", escaped(&self.kind), escaped(&self.group));
        if !is_name(&self.group) || !is_name(&self.kind) {
            return Err(format!("{named} is no kind; write its group and its kind"));
        }
        if self.version.as_deref().is_some_and(|version| !is_name(version)) {
            return Err(format!("{named} has no usable version; write one, or leave it out"));
        }
        if is_built_in(&self.group, &self.kind) {
            return Err(format!("{named} is built in and cannot be replaced; remove it"));
        }
        if self.pod_specs.is_empty() && self.images.is_empty() {
            return Err(format!("{named} has no paths; add `podSpecs` or `images`"));
        }
        let compile = |paths: &[String]| -> Result<Vec<JsonPath>, String> {
            let each = |text: &String| path(text).map_err(|why| format!("{named}: {why}"));
            paths.iter().map(each).collect()
        };
        Ok(Custom {
            pod_specs: compile(&self.pod_specs)?,
            images: compile(&self.images)?,
            keys: keys(self.pod_specs.iter().chain(&self.images)),
            group: self.group,
            kind: self.kind,
            version: self.version,
        })
    }
}

fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// Reads a path, and refuses those whose work is not linear in the object:
/// the object is the attacker's.
fn path(text: &str) -> Result<JsonPath, String> {
    let shown = escaped(text);
    if text.len() > PATH {
        return Err(format!("the path `{shown}` is longer than {PATH} bytes; shorten it"));
    }
    let path = JsonPath::parse(text).map_err(|e| {
        format!("`{shown}` is no JSONPath: {}; write one as in RFC 9535", escaped(&e.to_string()))
    })?;
    let (descents, filters) = (text.matches("..").count(), text.matches('?').count());
    let wild = text.contains("..*") || text.contains("..[");
    if text.matches('$').count() > 1 || descents > 1 || wild || descents * filters > 0 {
        return Err(format!(
            "`{shown}` could take long on a hostile object; name the way to the image: one `$`, \
             one `..` at most and only before a name, and none beside a filter"
        ));
    }
    Ok(path)
}

/// Every word of the paths, quoted ones too: a word too many refuses a
/// twin too many, which does no harm.
fn keys<'a>(paths: impl Iterator<Item = &'a String>) -> Vec<String> {
    let word = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'));
    let words = paths.flat_map(|path| path.split(word));
    let named = words.filter(|word| word.chars().any(char::is_alphabetic)).map(str::to_owned);
    let keys: BTreeSet<String> = named.chain(KEYS.iter().map(|&key| key.to_owned())).collect();
    keys.into_iter().collect()
}

impl Custom {
    pub(super) fn is(&self, kind: &GroupVersionKind) -> bool {
        self.group == kind.group
            && self.kind == kind.kind
            && self.version.as_ref().is_none_or(|version| *version == kind.version)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let versions = match (&self.version, &other.version) {
            (Some(one), Some(two)) => one == two,
            (None, _) | (_, None) => true,
        };
        versions && self.group == other.group && self.kind == other.kind
    }

    /// Adds every image that the paths lead to.
    pub(super) fn find(&self, object: &Value, found: &mut Found) -> Result<(), Unreadable> {
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        no_twins(object, &keys)?;
        for path in &self.pod_specs {
            for (pointer, value) in located(path, object, found.bounds.images)? {
                found.add_pod_spec(&pod_spec(pointer, value)?)?;
            }
        }
        let access = Arc::new(PodAccess::default());
        for path in &self.images {
            for (pointer, value) in located(path, object, found.bounds.images)? {
                let at = At { pointer, value };
                let text = value.as_str().ok_or_else(|| at.is_no("text"))?;
                found.add(Use::new(at.pointer, Role::Custom, "", Some(text), &access))?;
            }
        }
        Ok(())
    }
}

/// What a path leads to, by JSON pointers.
fn located<'a>(
    path: &JsonPath,
    object: &'a Value,
    most: usize,
) -> Result<Vec<(String, &'a Value)>, Unreadable> {
    // counted first: the places take much more memory than the values
    if path.query(object).len() > most {
        return Err(Unreadable::new(format!(
            "a path finds more than {most} places; split the object"
        )));
    }
    let nodes = path.query_located(object);
    nodes.iter().map(|node| Ok((pointer(node.location())?, node.node()))).collect()
}

fn pointer(path: &serde_json_path::NormalizedPath<'_>) -> Result<String, Unreadable> {
    let length: usize = path.iter().map(|step| step.as_name().map_or(8, str::len)).sum();
    match length <= POINTER {
        true => Ok(path.to_json_pointer()),
        false => Err(Unreadable::new(format!(
            "an image stands below keys of more than {POINTER} bytes; shorten them"
        ))),
    }
}
