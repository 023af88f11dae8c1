//! One page of a listing, object by object: never all of them decoded at
//! once, which takes many times their bytes.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

/// What a page says beside its objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// The token of the next page; `None` at the end.
    pub(super) more: Option<String>,
}

/// Gives every object of a page to `each`.
pub(super) fn read_page(bytes: &[u8], each: &mut dyn FnMut(Value)) -> Result<Page, String> {
    let wrong = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        format!("the API server's answer is no list (line {line}, column {column}); try again")
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let page = List(each).deserialize(&mut json).map_err(wrong)?;
    json.end().map_err(wrong)?;
    Ok(page)
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default, rename = "continue")]
    more: Option<String>,
}

struct List<'e>(&'e mut dyn FnMut(Value));

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let (mut meta, mut items): (Option<Meta>, Option<()>) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                // of two, nobody knows which counts
                "metadata" if meta.is_some() => return Err(A::Error::duplicate_field("metadata")),
                "items" if items.is_some() => return Err(A::Error::duplicate_field("items")),
                "metadata" => meta = Some(map.next_value()?),
                "items" => items = map.next_value_seed(Items(&mut *self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let meta = meta.ok_or_else(|| A::Error::missing_field("metadata"))?;
        items.ok_or_else(|| A::Error::missing_field("items"))?;
        Ok(Page { more: meta.more.filter(|token| !token.is_empty()) })
    }
}

struct Items<'e>(&'e mut dyn FnMut(Value));

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Option<()>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<()>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Option<()>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("objects")
    }

    /// Go writes an empty list so.
    fn visit_unit<E>(self) -> Result<Option<()>, E> {
        Ok(Some(()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<()>, A::Error> {
        while let Some(object) = list.next_element::<Value>()? {
            (self.0)(object);
        }
        Ok(Some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(usize, Option<String>), String> {
        let mut seen = 0;
        let page = read_page(text.as_bytes(), &mut |_| seen += 1)?;
        Ok((seen, page.more))
    }

    #[test]
    fn a_page_has_objects_and_perhaps_a_next_one() {
        let next = r#"{"kind":"PodList","metadata":{"continue":"abc","x":1},"items":[{},{}]}"#;
        assert_eq!(read(next), Ok((2, Some("abc".to_owned()))));
        assert_eq!(read(r#"{"items":null,"metadata":{"continue":""}}"#), Ok((0, None)));
        assert_eq!(read(r#"{"metadata":{},"items":[]}"#), Ok((0, None)));
    }

    #[test]
    fn what_is_no_list_is_no_empty_list() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"items":[]}"#,
            r#"{"metadata":{}}"#,
            r#"{"kind":"Status","metadata":{},"status":"Failure"}"#,
            r#"{"metadata":{},"items":{}}"#,
            r#"{"metadata":{},"items":[]} {}"#,
            r#"{"metadata":{},"items":[],"items":[]}"#,
            r#"{"metadata":{},"metadata":{},"items":[]}"#,
            r#"{"metadata":{},"items":[{},"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let deep = format!("{{\"metadata\":{{}},\"items\":[{}", "[".repeat(100_000));
        assert!(read(&deep).is_err());
    }
}
