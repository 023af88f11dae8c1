//! Formatting changes how a policy is written and nothing else (P15).

use super::*;
use ocisign::policy::fmt;
use proptest::prelude::*;

fn formatted(bytes: &[u8]) -> String {
    fmt(bytes, &Limits::default()).unwrap()
}

/// The document without the digest of its bytes, which formatting changes.
fn meaning(bytes: &[u8]) -> Document {
    let mut document = parse(bytes, &Limits::default()).unwrap_or_else(|p| panic!("{p:#?}"));
    document.digest = ocisign::image::Digest::sha256(b"");
    document
}

#[test]
fn known_keys_come_in_the_order_of_the_page() {
    let text = r#"{"rules":[{"accept":{"reason":"x"},"scope":["a.example/b"],"id":"r"}],
        "signers":{"z":{"keys":[{"until":"2027-01-01T00:00:00Z","file":"z.pub"}]},"a":{"keys":[{"file":"a"}]}},
        "name":"n","ocisign":"policy/1"}"#;
    let want = r#"{
  "ocisign": "policy/1",
  "name": "n",
  "signers": {
    "z": { "keys": [{ "file": "z.pub", "until": "2027-01-01T00:00:00Z" }] },
    "a": { "keys": [{ "file": "a" }] }
  },
  "rules": [
    {
      "id": "r",
      "scope": ["a.example/b"],
      "accept": { "reason": "x" }
    }
  ]
}
"#;
    assert_eq!(formatted(text.as_bytes()), want);
}

#[test]
fn only_what_is_no_strict_json_is_refused() {
    assert_eq!(formatted(b"[ ]"), "[]\n");
    assert_eq!(formatted(b"{\"unknown\":{ }}"), "{\n  \"unknown\": {}\n}\n");
    assert!(fmt(b"{\"a\":1,\"a\":2}", &Limits::default()).is_err());
    assert!(fmt(b"{// no\n}", &Limits::default()).is_err());
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,8}"
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äλ\n\t]{0,30}[a-z\"\\\\]"
}

fn key() -> impl Strategy<Value = Value> {
    let file = ("[ -~]{1,12}", any::<bool>(), proptest::option::of(instant()));
    file.prop_map(|(file, hash, until)| {
        let mut key = json!({ "file": file });
        if hash {
            key["sha256"] = json!("0123456789abcdef".repeat(4));
        }
        if let Some(until) = until {
            key["until"] = json!(until);
        }
        key
    })
}

fn instant() -> impl Strategy<Value = String> {
    (2020..2100_u16, 1..=12_u8, 1..=28_u8, 0..24_u8)
        .prop_map(|(y, m, d, h)| format!("{y}-{m:02}-{d:02}T{h:02}:00:59Z"))
}

fn signed(signers: Vec<String>) -> impl Strategy<Value = Value> {
    let count = signers.len();
    let by = proptest::sample::subsequence(signers, 1..=count);
    let words = prop::sample::select(vec!["none", "repository", "exact", "exactOrDigest"]);
    let on = proptest::option::of(prop::sample::select(vec!["root", "each", "covering"]));
    let annotations = proptest::collection::btree_map(text(), "[a-z/.]{1,8}\\*{0,2}", 0..3);
    (by, words, on, annotations, any::<prop::sample::Index>()).prop_map(|(by, word, on, all, k)| {
        let mut signed = json!({ "reference": word, "atLeast": k.index(by.len()) + 1, "by": by });
        if let Some(on) = on {
            signed["on"] = json!(on);
        }
        if !all.is_empty() {
            signed["annotations"] = json!(all);
        }
        json!({ "signed": signed })
    })
}

fn image() -> impl Strategy<Value = Value> {
    let data = proptest::collection::vec(text(), 1..4);
    let types = proptest::collection::btree_set("[a-z]{1,5}/[a-z]{1,9}", 1..5);
    (1..u64::MAX, types, data).prop_map(|(n, types, data)| {
        let words: std::collections::BTreeSet<_> = data.into_iter().collect();
        json!({ "image": { "maxImageBytes": n, "layerTypes": types, "allowEmpty": true,
            "config": { "type": "object", "required": ["a/b", "os"],
                "properties": { "os": { "enum": words } } } } })
    })
}

/// A check without its id, at most two levels of `anyOf`.
fn check(signers: Vec<String>) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![signed(signers.clone()), image()];
    leaf.prop_recursive(2, 12, 3, move |inner| {
        proptest::collection::vec(proptest::collection::vec(inner, 1..3), 2..4)
            .prop_map(|branches| json!({ "anyOf": branches }))
    })
}

fn with_ids(check: &mut Value, next: &mut usize) {
    check["id"] = json!(format!("c{next}"));
    *next += 1;
    for branch in check.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        branch.as_array_mut().unwrap().iter_mut().for_each(|c| with_ids(c, next));
    }
}

/// Valid policies of every kind of part, with keys in any order.
fn policy() -> impl Strategy<Value = Value> {
    let signers =
        proptest::collection::btree_map(name(), proptest::collection::vec(key(), 1..3), 1..4);
    signers.prop_flat_map(|signers| {
        let names: Vec<String> = signers.keys().cloned().collect();
        let proof = signed(names.clone());
        let checks = proptest::collection::vec(check(names), 0..4);
        let rules = proptest::collection::vec(
            (checks, proof, text(), proptest::option::of(instant())),
            1..4,
        );
        (Just(signers), rules, name(), text(), any::<u64>()).prop_map(
            |(signers, rules, name, text, serial)| {
                let signers: serde_json::Map<_, _> = signers
                    .into_iter()
                    .map(|(name, mut keys)| {
                        // the same file twice would be refused
                        for (i, key) in keys.iter_mut().enumerate() {
                            key["file"] = json!(format!("{i}{}", key["file"].as_str().unwrap()));
                        }
                        (name, json!({ "keys": keys }))
                    })
                    .collect();
                let rules: Vec<Value> = rules.into_iter().enumerate().map(rule).collect();
                json!({ "ocisign": "policy/1", "name": name, "description": text, "serial": serial,
                    "signers": signers, "rules": rules })
            },
        )
    })
}

type Parts = (Vec<Value>, Value, String, Option<String>);

fn rule((i, (mut checks, proof, text, audit)): (usize, Parts)) -> Value {
    let mut rule = json!({ "id": format!("r{i}"), "scope": [format!("h{i}.example/**")] });
    if i % 3 == 2 {
        rule["reject"] = json!({ "reason": text });
        return rule;
    }
    checks.push(proof);
    let mut next = 0;
    checks.iter_mut().for_each(|c| with_ids(c, &mut next));
    rule["require"] = json!(checks);
    if let Some(audit) = audit {
        rule["mode"] = json!({ "auditUntil": audit });
    }
    rule
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn p15_formatting_keeps_the_meaning_and_is_done_once(policy in policy(), pretty in any::<bool>()) {
        let text = if pretty { format!("{policy:#}") } else { policy.to_string() };
        let once = formatted(text.as_bytes());
        prop_assert_eq!(meaning(once.as_bytes()), meaning(text.as_bytes()));
        prop_assert_eq!(formatted(once.as_bytes()), once);
    }

    #[test]
    fn any_json_is_formatted_once_and_stays_what_it_is(words in "[\\[\\]{}\",:a0 ]{0,40}") {
        if let Ok(once) = fmt(words.as_bytes(), &Limits::default()) {
            let before: Value = serde_json::from_str(&words).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), before);
            prop_assert_eq!(formatted(once.as_bytes()), once);
        }
    }
}
