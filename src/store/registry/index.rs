//! An index that lists referrers, from the API or from a tag. Its entries are
//! hints; reading it decides nothing but whether it is an index at all.

use serde_json::{Map, Value};

use super::answer::Document;
use crate::image::{Descriptor, media_type};

/// The document of a list of referrers, with all that others wrote into it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReferrersIndex {
    fields: Map<String, Value>,
    /// The entries as they stand.
    pub(super) manifests: Vec<Value>,
}

impl ReferrersIndex {
    /// Reads an answer.
    ///
    /// # Errors
    /// A text that says why it is no OCI image index.
    pub(super) fn read(document: &Document) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(&document.bytes)
            .map_err(|error| format!("is no JSON ({error})"))?;
        let Value::Object(mut fields) = value else { return Err("is no JSON object".to_owned()) };
        let inner = match fields.get("mediaType") {
            None => None,
            Some(Value::String(text)) => Some(text.as_str()),
            Some(_) => return Err("has a mediaType that is no text".to_owned()),
        };
        is_index(document.media_type.as_deref(), inner)?;
        if fields.contains_key("layers") || fields.contains_key("config") {
            return Err("is an index and a manifest at once".to_owned());
        }
        match fields.remove("manifests") {
            Some(Value::Array(manifests)) => Ok(Self { fields, manifests }),
            Some(Value::Null) => Ok(Self { fields, manifests: Vec::new() }), // Go's empty list
            _ => Err("has no list of manifests".to_owned()),
        }
    }

    /// The entries that are descriptors, and how many are not.
    pub(super) fn descriptors(&self) -> (Vec<Descriptor>, usize) {
        let found: Vec<_> = self.manifests.iter().filter_map(descriptor).collect();
        let unread = self.manifests.len() - found.len();
        (found, unread)
    }

    /// Whether an entry has this digest.
    pub(super) fn has(&self, digest: &str) -> bool {
        self.manifests.iter().any(|entry| digest_of(entry) == Some(digest))
    }

    /// Adds the entries of `others` that are missing. Whether there were any.
    pub(super) fn merge(&mut self, others: &[Value]) -> bool {
        let before = self.manifests.len();
        for entry in others {
            let known = match digest_of(entry) {
                Some(digest) => self.has(digest),
                None => self.manifests.contains(entry),
            };
            if !known {
                self.manifests.push(entry.clone());
            }
        }
        self.manifests.len() > before
    }

    /// The document to write, fields of other writers included.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.insert("schemaVersion".to_owned(), 2.into());
        fields.insert("mediaType".to_owned(), media_type::OCI_INDEX.into());
        fields.insert("manifests".to_owned(), self.manifests.clone().into());
        Value::Object(fields).to_string().into_bytes()
    }
}

pub(super) fn digest_of(entry: &Value) -> Option<&str> {
    entry.get("digest").and_then(Value::as_str)
}

/// What the header and the document call it must be an index where they call
/// it something that means anything.
fn is_index(header: Option<&str>, inner: Option<&str>) -> Result<(), String> {
    let vague =
        [None, Some("application/json"), Some("application/octet-stream"), Some("text/plain")];
    match (header, inner) {
        (Some(media_type::OCI_INDEX), None | Some(media_type::OCI_INDEX)) => Ok(()),
        (header, Some(media_type::OCI_INDEX)) if vague.contains(&header) => Ok(()),
        _ => Err("is no OCI image index".to_owned()),
    }
}

fn descriptor(entry: &Value) -> Option<Descriptor> {
    let mut found: Descriptor = serde_json::from_value(entry.clone()).ok()?;
    // A hint needs no content; only the manifest itself is read.
    found.data = None;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media_type: Option<&str>, json: &str) -> Result<ReferrersIndex, String> {
        ReferrersIndex::read(&Document {
            bytes: json.as_bytes().to_vec(),
            media_type: media_type.map(str::to_owned),
            links: Vec::new(),
        })
    }

    #[test]
    fn only_an_index_is_a_list() {
        let index = Some(media_type::OCI_INDEX);
        let typed = r#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        assert!(read(index, r#"{"schemaVersion":2,"manifests":[]}"#).is_ok());
        assert!(read(index, typed).is_ok());
        assert!(read(Some("application/json"), typed).is_ok());
        for (header, json) in [
            (Some("text/html"), typed),
            (Some(media_type::OCI_MANIFEST), typed),
            (None, r#"{"manifests":[]}"#),
            (index, r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#),
            (index, r#"{"manifests":{}}"#),
            (index, r#"{"mediaType":1,"manifests":[]}"#),
            (index, r#"{"manifests":[],"layers":[]}"#),
            (index, "{}"),
            (index, "[]"),
            (index, "<html>"),
        ] {
            assert!(read(header, json).is_err(), "{header:?} {json}");
        }
    }

    #[test]
    fn what_others_wrote_survives_a_merge() {
        let mut list = read(
            Some(media_type::OCI_INDEX),
            r#"{"annotations":{"a":"b"},"manifests":[{"digest":"sha256:1","x-unknown":true},{"odd":1}]}"#,
        )
        .unwrap();
        let own = serde_json::json!({"digest": "sha256:2"});
        assert!(list.merge(std::slice::from_ref(&own)));
        assert!(!list.merge(&[own, serde_json::json!({"odd": 1})]));
        let text = String::from_utf8(list.to_bytes()).unwrap();
        for part in ["x-unknown", "odd", "sha256:2", r#""annotations":{"a":"b"}"#] {
            assert!(text.contains(part), "{text}");
        }
    }
}
