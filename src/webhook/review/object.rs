//! Reading a decoded object, where every level may be of the wrong type.

use serde_json::{Map, Value};

use crate::image::json;
use crate::report::escaped;

use super::Unreadable;

/// Free-form maps of Kubernetes: the keys directly in one are the author's.
const MAPS: &[&str] = &[
    "annotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "limits",
    "requests",
    "overhead",
    "volumeAttributes",
    "options",
    "data",
    "stringData",
    "binaryData",
];

/// A place in an object: its JSON pointer (RFC 6901), and what stands there.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) pointer: String,
    pub(super) value: &'a Value,
}

impl<'a> At<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { pointer: String::new(), value }
    }

    /// A member; `None` where it is missing or null, which Go takes for the
    /// same.
    pub(super) fn member(&self, key: &str) -> Result<Option<At<'a>>, Unreadable> {
        let map = self.value.as_object().ok_or_else(|| self.is_no("object"))?;
        let pointer = format!("{}/{}", self.pointer, escape(key));
        let value = map.get(key).filter(|value| !value.is_null());
        Ok(value.map(|value| At { pointer, value }))
    }

    /// The member at the end of a chain of members.
    pub(super) fn descend(&self, keys: &[&str]) -> Result<Option<At<'a>>, Unreadable> {
        let mut here = self.clone();
        for key in keys {
            match here.member(key)? {
                Some(next) => here = next,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    /// The elements of the list that is a member; none where it is missing.
    pub(super) fn elements(
        &self,
        key: &str,
    ) -> Result<impl Iterator<Item = At<'a>> + use<'a>, Unreadable> {
        let (pointer, list) = match self.member(key)? {
            None => (String::new(), &[][..]),
            Some(at) => match at.value {
                Value::Array(list) => (at.pointer, list.as_slice()),
                _ => return Err(at.is_no("list")),
            },
        };
        let at = move |(index, value)| At { pointer: format!("{pointer}/{index}"), value };
        Ok(list.iter().enumerate().map(at))
    }

    /// The text that is a member; `None` where it is missing.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Unreadable> {
        match self.member(key)? {
            None => Ok(None),
            Some(at) => at.value.as_str().map(Some).ok_or_else(|| at.is_no("text")),
        }
    }

    pub(super) fn is_no(&self, want: &str) -> Unreadable {
        let at = escaped(&self.pointer);
        Unreadable::new(format!("`{at}` is no {want}; correct the object"))
    }
}

/// A key as one step of a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A key of `map` that differs from one of `known` in case only, and that one.
pub(super) fn twin_in<'a, 'k>(
    map: &'a Map<String, Value>,
    known: &[&'k str],
) -> Option<(&'a str, &'k str)> {
    map.keys().find_map(|key| Some((key.as_str(), json::twin(key, known)?)))
}

/// Refuses keys that some reader would take for one of `known`, anywhere but
/// directly in a free-form map. The API server compares keys byte by byte,
/// a controller of a custom resource need not.
pub(super) fn no_twins(object: &Value, known: &[&str]) -> Result<(), Unreadable> {
    // no pointers are kept: below a long key they would take more memory than
    // the object
    let mut open = vec![(object, false)];
    while let Some((value, free)) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some((key, twin)) = twin_in(map, known).filter(|_| !free) {
                    let why =
                        format!("the key `{}` differs from `{twin}` in case only", escaped(key));
                    return Err(Unreadable::new(format!("{why}; spell it so, or remove it")));
                }
                // a map that a path leads through is read, whatever it is called
                let free_form = |key: &str| !free && MAPS.contains(&key) && !known.contains(&key);
                open.extend(map.iter().map(|(key, value)| (value, free_form(key))));
            }
            Value::Array(list) => open.extend(list.iter().map(|value| (value, false))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(())
}
