//! The table of what two parsers may read in two ways, and generated texts.

use super::*;
use proptest::prelude::*;

const KNOWN: &[&str] = &["size", "mediaType", "kind", "annotations"];

fn word(text: &str) -> &'static str {
    word_of(text.as_bytes())
}

fn word_of(bytes: &[u8]) -> &'static str {
    match scan(bytes, KNOWN, 8) {
        Ok(()) => "ok",
        Err(JsonError::Ambiguous { .. }) => "ambiguous",
        Err(JsonError::Malformed { .. }) => "malformed",
        Err(JsonError::TooDeep { .. }) => "deep",
    }
}

#[test]
fn what_parsers_read_in_two_ways_is_refused() {
    for text in [
        r#"{"size":1,"size":2}"#,
        r#"{"size":1,"si\u007ae":2}"#,
        r#"{"a":{"b":[{"c":1,"c":1}]}}"#,
        r#"{"annotations":{"x":"1","x":"2"}}"#,
        r#"{"size":1,"SIZE":7}"#,
        r#"{"Size":1}"#,
        r#"{"mediatype":1}"#,
        "{\"\u{17f}ize\":1}",
        "{\"\u{212a}ind\":1}",
        r#"{"\u212aind":1}"#,
        r#"{"x":"\ud800"}"#,
        r#"{"x":"\udc00\ud800"}"#,
        r#"{"x":"\ud800\u0041"}"#,
        r#"{"x":"\ud800\n"}"#,
    ] {
        assert_eq!(word(text), "ambiguous", "{text}");
    }
    assert_eq!(word_of(b"{\"x\":\"\xff\"}"), "ambiguous");
    assert_eq!(word_of(b"{\"x\":\"\xed\xa0\x80\"}"), "ambiguous");
}

#[test]
fn what_is_no_json_or_out_of_range_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{\"a\"1}",
        "{\"a\":}",
        "[1}",
        "{\"a\":1]",
        "01",
        "+1",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "NaN",
        "Infinity",
        "tru",
        "nul",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "{} {}",
        "1 2",
        "\u{feff}{}",
        "/**/{}",
        "{}\0",
        "18446744073709551616",
        "-9223372036854775809",
        "1e999",
        "\u{a0}1",
    ] {
        assert_eq!(word(text), "malformed", "{text}");
    }
}

#[test]
fn ordinary_json_passes() {
    for text in [
        "{}",
        " [ ] ",
        "null",
        "-0",
        "1e3",
        "1.0",
        "0.5e-7",
        "18446744073709551615",
        "-9223372036854775808",
        r#"{"size":1,"a":[true,false,null,{"size":2}],"b":{"size":3}}"#,
        r#"{"x":"\ud83d\ude00\"\\\/\b\f\n\r\t\u0000"}"#,
        "{\"\":\"\u{7f}\",\"sizes\":1,\"ſ\":1}",
        "\r\n\t{ \"a\" : 1 , \"A\" : 2 }\n",
    ] {
        assert_eq!(word(text), "ok", "{text}");
    }
}

#[test]
fn depth_is_bounded_without_recursion() {
    assert_eq!(word(&format!("{}{}", "[".repeat(8), "]".repeat(8))), "ok");
    assert_eq!(word(&format!("{}{}", "[".repeat(9), "]".repeat(9))), "deep");
    assert_eq!(word(&"{\"a\":".repeat(9)), "deep");
    assert_eq!(word(&"[".repeat(1 << 20)), "deep");
    // Empty containers count too.
    assert_eq!(word(&format!("{}{{}}{}", "[".repeat(8), "]".repeat(8))), "deep");
    let deep = "[".repeat(1 << 20);
    assert!(scan(deep.as_bytes(), KNOWN, usize::MAX).is_err());
}

#[test]
fn integers_only_has_no_fraction_exponent_or_negative_zero() {
    let strict = Scan { known: KNOWN, maps: &[], max_depth: 8, integers_only: true };
    for text in ["1.0", "1e3", "1E3", "-0", "-0.0"] {
        assert!(matches!(strict.check(text.as_bytes()), Err(JsonError::Malformed { .. })));
    }
    for text in ["0", "-1", "10"] {
        assert_eq!(strict.check(text.as_bytes()), Ok(()));
    }
}

#[test]
fn keys_of_a_free_form_map_have_no_twins() {
    let scan = |text: &str| {
        let maps = &["annotations"];
        Scan { known: KNOWN, maps, max_depth: 8, integers_only: false }.check(text.as_bytes())
    };
    assert_eq!(scan(r#"{"annotations":{"Size":"1","size":"2"},"size":1}"#), Ok(()));
    for bad in [
        r#"{"annotations":{"Size":"1","Size":"2"}}"#,
        r#"{"annotations":{"a":{"Size":"1"}}}"#,
        r#"{"annotations":{"annotations":{"Size":"1"}}}"#,
        r#"{"annotations":[{"Size":"1"}]}"#,
        r#"{"annotations":1,"a":{"Size":"1"}}"#,
        r#"{"annotations":{},"Size":1}"#,
        r#"{"Annotations":{}}"#,
    ] {
        assert!(matches!(scan(bad), Err(JsonError::Ambiguous { .. })), "{bad}");
    }
}

#[test]
fn errors_say_where() {
    let at = |text: &str| match scan(text.as_bytes(), KNOWN, 2) {
        Err(
            JsonError::Ambiguous { at, .. }
            | JsonError::Malformed { at, .. }
            | JsonError::TooDeep { at, .. },
        ) => at,
        Ok(()) => usize::MAX,
    };
    assert_eq!(at(r#"{"a":1,"a":2}"#), 7);
    assert_eq!(at(r#"{"Size":2}"#), 1);
    assert_eq!(at("[1 2]"), 3);
    assert_eq!(at("[99999999999999999999]"), 1);
    assert_eq!(at("[[[]]]"), 2);
    let strict = Scan { known: KNOWN, maps: &[], max_depth: 8, integers_only: false };
    let error = strict.decode::<Vec<u8>>(b"[1,\n\"x\"]").unwrap_err();
    assert!(matches!(error, JsonError::Malformed { at: 4..8, .. }), "{error}");
}

#[test]
fn many_keys_take_linear_time() {
    let keys: Vec<String> = (0..200_000).map(|i| format!("\"{i:08x}\":0")).collect();
    assert_eq!(word(&format!("{{{}}}", keys.join(","))), "ok");
}

/// Values with keys that are near each other and near the known ones.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,4}", inner), 0..6)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_writes_is_accepted(value in value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(scan(text.as_bytes(), KNOWN, 64), Ok(()));
    }

    #[test]
    fn what_is_accepted_serde_reads(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if scan(&bytes, KNOWN, 64).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn what_is_accepted_of_noise_serde_reads(text in r#"[\[\]{}:,"\\u0-9eE.+a-fns \t-]{0,24}"#) {
        let ours = scan(text.as_bytes(), &[], 64);
        let serde = serde_json::from_str::<serde_json::Value>(&text);
        if ours.is_ok() {
            prop_assert!(serde.is_ok(), "{}", text);
        } else if matches!(ours, Err(JsonError::Malformed { .. })) && serde.is_ok() {
            // The only texts that serde reads and this does not: long integers.
            prop_assert!(text.bytes().filter(u8::is_ascii_digit).count() > 18, "{}", text);
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if scan(&bytes, KNOWN, 8).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }
}
