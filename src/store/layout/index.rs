//! `index.json`: what a layout holds, and under which tags.
//!
//! The document is edited as the JSON value that it is, so that fields which
//! ocisign does not know, of the index and of its descriptors, stay.

use serde_json::{Map, Value, json};

use crate::image::json::{JsonError, Scan};
use crate::image::{Descriptor, Digest, media_type};

/// The annotation that holds a tag (image-spec, annotations.md).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Keys that every JSON document around a layout may give a meaning to.
pub(crate) const KNOWN: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "manifests",
    "config",
    "layers",
    "blobs",
    "fsLayers",
    "history",
    "subject",
    "digest",
    "size",
    "urls",
    "data",
    "platform",
    "architecture",
    "os",
    "variant",
    "annotations",
    "artifactType",
    "imageLayoutVersion",
];

/// An image index of whose entries each is read on its own: one that ocisign
/// cannot read does not hide the others.
#[derive(Debug, Clone)]
pub(crate) struct LayoutIndex {
    document: Map<String, Value>,
    entries: Vec<Entry>,
}

/// One descriptor of the index.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The descriptor, or why it is none that ocisign can use.
    pub(crate) descriptor: Result<Descriptor, String>,
    /// The tag.
    pub(crate) tag: Option<String>,
}

impl LayoutIndex {
    /// An index without entries.
    pub(crate) fn empty() -> Self {
        let mut document = Map::new();
        document.insert("schemaVersion".to_owned(), json!(2));
        document.insert("mediaType".to_owned(), json!(media_type::OCI_INDEX));
        document.insert("manifests".to_owned(), json!([]));
        Self { document, entries: Vec::new() }
    }

    /// Reads an index; an `Err` says which rule it breaks.
    pub(crate) fn parse(bytes: &[u8], max_depth: usize) -> Result<Self, String> {
        let document = object(bytes, max_depth).map_err(|e| e.to_string())?;
        match document.get("schemaVersion") {
            Some(Value::Number(n)) if n.as_u64() == Some(2) => {}
            _ => return Err("its schemaVersion is not 2".to_owned()),
        }
        match document.get("mediaType") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if kind == media_type::OCI_INDEX => {}
            Some(_) => return Err(format!("its mediaType is not {}", media_type::OCI_INDEX)),
        }
        for foreign in ["config", "layers", "blobs", "fsLayers", "history"] {
            if document.get(foreign).is_some_and(|v| !v.is_null()) {
                return Err(format!(
                    "it has `{foreign}`, so it is a manifest and an index at once"
                ));
            }
        }
        let entries = match document.get("manifests") {
            Some(Value::Array(list)) => list.iter().map(Entry::read).collect(),
            Some(Value::Null) => Vec::new(), // moby 25.0 wrote it
            _ => return Err("it has no list `manifests`".to_owned()),
        };
        Ok(Self { document, entries })
    }

    /// The entries in their order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The tags in their order, each once.
    pub(crate) fn tags(&self) -> Vec<&str> {
        let mut tags: Vec<&str> = Vec::new();
        for tag in self.entries.iter().filter_map(|e| e.tag.as_deref()) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }

    /// Whether there is an entry of `digest`.
    pub(crate) fn lists(&self, digest: &Digest) -> bool {
        self.entries.iter().any(|e| matches!(&e.descriptor, Ok(d) if d.digest == *digest))
    }

    /// Adds an entry without a tag where there is none of its digest.
    /// Returns whether it changed anything.
    pub(crate) fn add(&mut self, descriptor: &Descriptor) -> bool {
        !self.lists(&descriptor.digest) && self.push(descriptor, None)
    }

    /// Moves `tag` to `descriptor`. An entry that `keep` wants (a referrer)
    /// loses the tag only, any other that had the tag goes away.
    pub(crate) fn set_tag(
        &mut self,
        descriptor: &Descriptor,
        tag: &str,
        keep: impl Fn(&Descriptor) -> bool,
    ) -> bool {
        let had = |e: &Entry| e.tag.as_deref() == Some(tag);
        let same = |e: &Entry| matches!(&e.descriptor, Ok(d) if d.digest == descriptor.digest);
        if self.entries.iter().filter(|e| had(e)).count() == 1
            && self.entries.iter().any(|e| had(e) && same(e))
        {
            return false;
        }
        let mut left = Vec::new();
        for (mut value, entry) in self.take_values().into_iter().zip(self.entries.clone()) {
            match &entry.descriptor {
                _ if !had(&entry) => left.push(value),
                Ok(old) if old.digest != descriptor.digest && keep(old) => {
                    untag(&mut value);
                    left.push(value);
                }
                _ => {}
            }
        }
        self.put_values(left);
        self.push(descriptor, Some(tag))
    }

    /// The document as JSON text.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Value::Object(self.document.clone()).to_string().into_bytes()
    }

    fn push(&mut self, descriptor: &Descriptor, tag: Option<&str>) -> bool {
        let mut descriptor = descriptor.clone();
        descriptor.annotations.remove(REF_NAME);
        if let Some(tag) = tag {
            descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        let Ok(value) = serde_json::to_value(&descriptor) else { return false };
        let mut values = self.take_values();
        values.push(value);
        self.put_values(values);
        true
    }

    fn take_values(&mut self) -> Vec<Value> {
        match self.document.get_mut("manifests").map(Value::take) {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        }
    }

    fn put_values(&mut self, values: Vec<Value>) {
        self.entries = values.iter().map(Entry::read).collect();
        self.document.insert("manifests".to_owned(), Value::Array(values));
    }
}

impl Entry {
    fn read(value: &Value) -> Self {
        let tag = value.pointer("/annotations").and_then(|a| a.get(REF_NAME));
        let tag = tag.and_then(Value::as_str).map(str::to_owned);
        Self { descriptor: descriptor(value), tag }
    }
}

/// A descriptor out of a JSON value; a field that is null counts as absent.
fn descriptor(value: &Value) -> Result<Descriptor, String> {
    let mut value = value.clone();
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, v| !v.is_null());
    }
    let descriptor: Descriptor = serde_json::from_value(value).map_err(|e| e.to_string())?;
    if !media_type::is_valid(&descriptor.media_type) {
        return Err("its mediaType is no media type".to_owned());
    }
    Ok(descriptor)
}

fn untag(value: &mut Value) {
    if let Some(Value::Object(annotations)) = value.get_mut("annotations") {
        annotations.remove(REF_NAME);
    }
}

/// A JSON object, strictly read.
pub(crate) fn object(bytes: &[u8], max_depth: usize) -> Result<Map<String, Value>, JsonError> {
    Scan { known: KNOWN, maps: &["annotations"], max_depth, integers_only: false }.decode(bytes)
}

/// Whether a tag is one that tools make from a digest: the referrers tag
/// schema's `sha256-HEX`, or cosign's with `.sig`, `.att` or `.sbom`.
pub(crate) fn is_companion_tag(tag: &str) -> bool {
    let stem = ["", ".sig", ".att", ".sbom"].iter().filter_map(|end| tag.strip_suffix(end));
    let hex = |h: &str| {
        matches!(h.len(), 64 | 128) && h.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    stem.filter_map(|s| s.strip_prefix("sha256-").or_else(|| s.strip_prefix("sha512-"))).any(hex)
}

/// The tags under which the tag schema lists the referrers of `subject`. The
/// spec cuts the hexadecimal part to 64 characters, oras writes it whole.
pub(crate) fn fallback_tags(subject: &Digest) -> Vec<String> {
    let whole = format!("{}-{}", subject.algorithm(), subject.hex());
    match subject.hex().get(..64) {
        Some(cut) if cut.len() < subject.hex().len() => {
            vec![format!("{}-{cut}", subject.algorithm()), whole]
        }
        _ => vec![whole],
    }
}

/// Whether a tag may be written as a ref.name:
/// `component("/"component)*` of letters and digits with separators
/// (image-spec, annotations.md).
pub(crate) fn is_ref_name(tag: &str) -> bool {
    let component = |text: &str| {
        let text = text.replace("--", "-");
        let mut last_separates = true;
        for c in text.chars() {
            let separates = matches!(c, '-' | '.' | '_' | ':' | '@' | '+');
            if !(separates || c.is_ascii_alphanumeric()) || separates && last_separates {
                return false;
            }
            last_separates = separates;
        }
        !last_separates
    };
    tag.len() <= 255 && tag.split('/').all(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(of: &str) -> Descriptor {
        Descriptor::of(media_type::OCI_MANIFEST, of.as_bytes())
    }

    #[test]
    fn fields_that_nobody_knows_stay() {
        let text = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": media_type::OCI_MANIFEST, "digest": Digest::sha256(b"a"), "size": 1,
                "x-mine": {"deep": [1, 2]}, "annotations": {REF_NAME: "v1"},
            }],
            "x-top": "kept",
        });
        let mut index = LayoutIndex::parse(text.to_string().as_bytes(), 64).unwrap();
        assert!(index.set_tag(&entry("b"), "v2", |_| false));
        assert!(index.add(&entry("c")));
        let after: Value = serde_json::from_slice(&index.to_bytes()).unwrap();
        assert_eq!(after["x-top"], "kept");
        assert_eq!(after["manifests"][0], text["manifests"][0]);
        assert_eq!(after["manifests"][1]["annotations"][REF_NAME], "v2");
        assert_eq!(after["manifests"][2].get("annotations"), None);
    }

    #[test]
    fn a_tag_moves_and_an_equal_entry_adds_nothing() {
        let mut index = LayoutIndex::empty();
        assert!(index.set_tag(&entry("a"), "v1", |_| false));
        assert!(!index.set_tag(&entry("a"), "v1", |_| false));
        assert!(!index.add(&entry("a")));
        assert!(index.set_tag(&entry("b"), "v1", |_| false));
        assert_eq!(index.tags(), ["v1"]);
        assert!(index.lists(&entry("b").digest) && !index.lists(&entry("a").digest));
    }

    #[test]
    fn a_referrer_survives_the_loss_of_its_tag() {
        let mut index = LayoutIndex::empty();
        assert!(index.set_tag(&entry("a"), "v1", |_| true));
        assert!(index.set_tag(&entry("b"), "v1", |_| true));
        assert!(index.lists(&entry("a").digest));
        assert_eq!(index.tags(), ["v1"]);
    }

    #[test]
    fn an_index_that_is_also_something_else_is_refused() {
        for bad in [
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            r#"{"schemaVersion":2,"manifests":[],"Manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
            r#"{"schemaVersion":2,"mediaType":"application/json","manifests":[]}"#,
            "[]",
            "",
        ] {
            assert!(LayoutIndex::parse(bad.as_bytes(), 64).is_err(), "{bad}");
        }
        assert!(LayoutIndex::parse(br#"{"schemaVersion":2,"manifests":null}"#, 64).is_ok());
    }

    #[test]
    fn tags_that_tools_derive_are_told_apart() {
        let hex = "0".repeat(64);
        assert!(is_companion_tag(&format!("sha256-{hex}")));
        assert!(is_companion_tag(&format!("sha256-{hex}.sig")));
        assert!(!is_companion_tag(&format!("sha256-{hex}.txt")));
        assert!(!is_companion_tag("sha256-00.sig"));
        let long = Digest::of(crate::image::Algorithm::Sha512, b"x");
        assert_eq!(fallback_tags(&long).iter().map(String::len).collect::<Vec<_>>(), [71, 135]);
    }

    #[test]
    fn the_grammar_of_ref_names() {
        for good in ["v1", "1.2.3-rc.1", "docker.io/library/app:v1", "a--b"] {
            assert!(is_ref_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a..b", "a//b", "../a", "a b", "a\nb"] {
            assert!(!is_ref_name(bad), "{bad}");
        }
    }
}
