//! The outer levels of a JSON text, without memory for what lies deeper.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A value of one of the outer levels.
#[derive(Debug, PartialEq)]
pub(super) enum Shallow {
    Null,
    Bool(bool),
    Text(String),
    Object(BTreeMap<String, Shallow>),
    /// A number, a list, or what lies too deep.
    Other,
}

/// Reads the objects of the outermost `depth` levels.
pub(super) fn read(bytes: &[u8], depth: usize) -> Result<Shallow, serde_json::Error> {
    Depth(depth).deserialize(&mut serde_json::Deserializer::from_slice(bytes))
}

struct Depth(usize);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Shallow;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shallow, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Shallow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Shallow, E> {
        Ok(Shallow::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Shallow, E> {
        Ok(Shallow::Bool(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Shallow, E> {
        Ok(Shallow::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Shallow, E> {
        Ok(Shallow::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Shallow, E> {
        Ok(Shallow::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Shallow, E> {
        Ok(Shallow::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shallow, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shallow::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shallow, A::Error> {
        let Some(below) = self.0.checked_sub(1) else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Shallow::Other);
        };
        let mut fields = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            fields.insert(key, map.next_value_seed(Depth(below))?);
        }
        Ok(Shallow::Object(fields))
    }
}

/// `request.object` of a review that was checked; null where there is none.
pub(super) fn object(body: &[u8]) -> Result<Value, serde_json::Error> {
    #[derive(Deserialize)]
    struct Root {
        request: Request,
    }
    #[derive(Deserialize)]
    struct Request {
        #[serde(default)]
        object: Value,
    }
    serde_json::from_slice(body).map(|root: Root| root.request.object)
}

/// `request.oldObject` of a review that was checked; null where there is none.
pub(super) fn old_object(body: &[u8]) -> Result<Value, serde_json::Error> {
    #[derive(Deserialize)]
    struct Root {
        request: Request,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        #[serde(default)]
        old_object: Value,
    }
    serde_json::from_slice(body).map(|root: Root| root.request.old_object)
}
