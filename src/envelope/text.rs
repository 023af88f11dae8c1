//! Decoding that keeps little of what others wrote.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The entries of an object whose values are strings. Others are no
/// annotations; they are passed over without being kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Strings(pub(super) BTreeMap<String, String>);

/// How many elements an array has, whatever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count(pub(super) usize);

/// A value: its text where it is a string.
struct Text(Option<String>);

/// RFC 4648 with padding, in either alphabet: the JSON form of protobuf and
/// DSSE allow both.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let url = text.contains(['-', '_']);
    if url { URL_SAFE.decode(text) } else { STANDARD.decode(text) }.ok()
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings, A::Error> {
                let mut strings = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Text>()? {
                    if let Text(Some(value)) = value {
                        strings.insert(key, value);
                    }
                }
                Ok(Strings(strings))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strings_are_kept() {
        let text = r#"{"a":"1","b":2,"c":null,"d":[{"e":"x"}],"f":{"g":"y"},"h":true,"i":-1.5}"#;
        let strings: Strings = serde_json::from_str(text).unwrap();
        assert_eq!(strings.0, BTreeMap::from([("a".to_owned(), "1".to_owned())]));
        assert!(serde_json::from_str::<Strings>("[]").is_err());
    }

    #[test]
    fn elements_are_counted() {
        assert_eq!(serde_json::from_str::<Count>("[1,{},[[]]]").unwrap(), Count(3));
        assert!(serde_json::from_str::<Count>("{}").is_err());
    }

    #[test]
    fn base64_is_padded_and_of_one_alphabet() {
        assert_eq!(base64("-_8="), Some(vec![0xfb, 0xff]));
        assert_eq!(base64("+/8="), Some(vec![0xfb, 0xff]));
        for bad in ["+_8=", "+/8", "+/8=\n", "+/9=", " +/8=", "="] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }
}
