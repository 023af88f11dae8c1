//! What is no policy, where that is said, and how.

use super::*;
use ocisign::policy::{Code, render};
use proptest::prelude::*;

/// The only problem of a policy.
fn only(policy: &Value) -> Problem {
    let problems = load(policy).expect_err(&policy.to_string());
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.into_iter().next().unwrap()
}

/// Each line: where the sample is changed, to what, what kind of problem it
/// is and where it is shown.
fn refused(cases: &[(&str, Value, Code, &str)]) {
    load(&sample()).unwrap();
    for (pointer, value, code, shown) in cases {
        let problem = only(&with(pointer, value.clone()));
        assert_eq!((problem.code, problem.pointer.as_str()), (*code, *shown), "{pointer} {value}");
        assert!(!problem.message.ends_with('.'), "{problem}");
    }
}

const CHECK: &str = "/rules/0/require/0";

#[test]
fn fields_are_known_or_refused() {
    refused(&[
        ("/Name", json!("x"), Code::UnknownField, "/Name"),
        ("/\u{17f}erial", json!(1), Code::UnknownField, "/\u{17f}erial"),
        ("/signers/ana/\u{212a}eys", json!([]), Code::UnknownField, "/signers/ana/\u{212a}eys"),
        ("/rules/0/requires", json!([]), Code::UnknownField, "/rules/0/requires"),
        (
            "/rules/0/require/0/signed/atleast",
            json!(2),
            Code::UnknownField,
            "/rules/0/require/0/signed/atleast",
        ),
        (
            "/signers/ana/keys/0/sha512",
            json!("x"),
            Code::UnknownField,
            "/signers/ana/keys/0/sha512",
        ),
        ("/exceptions/0/accept", json!(true), Code::UnknownField, "/exceptions/0/accept"),
    ]);
    let problem = only(&with("/Serial", json!(1)));
    assert_eq!(problem.help, "keys are case-sensitive; write `serial`");
}

#[test]
fn what_cannot_be_honoured_yet_is_said_and_never_ignored() {
    refused(&[
        ("/include", json!([]), Code::NotYet, "/include"),
        ("/roots", json!({}), Code::NotYet, "/roots"),
        (
            "/signers/ana",
            json!({"keyless": {"root": "sigstore"}}),
            Code::NotYet,
            "/signers/ana/keyless",
        ),
        ("/signers/ana", json!({"x509": {}}), Code::NotYet, "/signers/ana/x509"),
        ("/signers/ana/time", json!(["tsa"]), Code::NotYet, "/signers/ana/time"),
        (
            "/signers/ana/keys/0/from",
            json!("2026-01-01T00:00:00Z"),
            Code::NotYet,
            "/signers/ana/keys/0/from",
        ),
        ("/revoked/0/since", json!("2026-01-01T00:00:00Z"), Code::NotYet, "/revoked/0/since"),
        (
            "/revoked/0",
            json!({"certificate": "sha256:00", "reason": "x"}),
            Code::NotYet,
            "/revoked/0/certificate",
        ),
        (
            "/rules/0/require/0/signed/maxAge",
            json!("90d"),
            Code::NotYet,
            "/rules/0/require/0/signed/maxAge",
        ),
        (
            "/rules/0/require/0/signed/time",
            json!("trusted"),
            Code::NotYet,
            "/rules/0/require/0/signed/time",
        ),
        (
            "/rules/0/require/2",
            json!({"id": "sbom", "attested": {}}),
            Code::NotYet,
            "/rules/0/require/2/attested",
        ),
        ("/exceptions/0/waive/0", json!("team/app/both"), Code::NotYet, "/exceptions/0/waive/0"),
    ]);
    for format in ["notary-jws", "notary-cose"] {
        refused(&[(
            "/rules/0/require/0/signed/formats",
            json!(["sigstore", format]),
            Code::NotYet,
            "/rules/0/require/0/signed/formats/1",
        )]);
    }
}

#[test]
fn an_openpgp_signer_has_one_keyring_and_a_whole_fingerprint() {
    let pgp = |inner: serde_json::Value| json!({ "pgp": inner });
    let file = json!({ "file": "a.gpg" });
    refused(&[
        ("/signers/ana", pgp(json!({})), Code::Missing, "/signers/ana/pgp"),
        ("/signers/ana", pgp(json!({"keyring": {}})), Code::Conflict, "/signers/ana/pgp/keyring"),
        (
            "/signers/ana",
            pgp(json!({"keyring": {"file": "a", "until": "2027-01-01T00:00:00Z"}})),
            Code::UnknownField,
            "/signers/ana/pgp/keyring/until",
        ),
        (
            "/signers/ana",
            pgp(json!({"keyring": {"pem": "-----BEGIN PGP PRIVATE KEY BLOCK-----"}})),
            Code::Value,
            "/signers/ana/pgp/keyring/pem",
        ),
        // a key id is not enough: it can be made to fit
        (
            "/signers/ana",
            pgp(json!({"keyring": file, "fingerprint": "E932F44B23E8DD43"})),
            Code::Value,
            "/signers/ana/pgp/fingerprint",
        ),
        (
            "/signers/ana",
            pgp(json!({"keyring": file, "fingerprint": "g".repeat(40)})),
            Code::Value,
            "/signers/ana/pgp/fingerprint",
        ),
        (
            "/signers/ana",
            json!({"keys": [{"file": "a.pub"}], "pgp": {"keyring": file}}),
            Code::Conflict,
            "/signers/ana/pgp",
        ),
    ]);
}

#[test]
fn words_times_and_numbers_are_exact() {
    refused(&[
        ("/ocisign", json!("policy/2"), Code::Value, "/ocisign"),
        ("/name", json!("Sample"), Code::Value, "/name"),
        ("/description", json!(" "), Code::Empty, "/description"),
        ("/description", json!("a\u{1b}[31m"), Code::Value, "/description"),
        ("/serial", json!(-1), Code::Value, "/serial"),
        ("/serial", json!("1"), Code::Type, "/serial"),
        ("/issued", json!("2026-02-29T00:00:00Z"), Code::Value, "/issued"),
        ("/expires", json!("2026-11-23T08:00:00+00:00"), Code::Value, "/expires"),
        ("/signers/Ana", json!({"keys": [{"file": "a"}]}), Code::Value, "/signers/Ana"),
        ("/signers/ana/keys", json!([]), Code::Empty, "/signers/ana/keys"),
        ("/signers/ana/keys", json!({}), Code::Type, "/signers/ana/keys"),
        ("/signers/ana", json!({}), Code::Missing, "/signers/ana"),
        (
            "/signers/ana/keys/0/pem",
            json!("-----BEGIN PUBLIC KEY-----"),
            Code::Conflict,
            "/signers/ana/keys/0",
        ),
        (
            "/signers/ana/keys/0",
            json!({"pem": "-----BEGIN PRIVATE KEY-----"}),
            Code::Value,
            "/signers/ana/keys/0/pem",
        ),
        ("/signers/ana/keys/0", json!({"pem": "x"}), Code::Value, "/signers/ana/keys/0/pem"),
        (
            "/signers/ana/keys/0/sha256",
            json!("SHA256:00"),
            Code::Value,
            "/signers/ana/keys/0/sha256",
        ),
        ("/signers/ana/keys/0/file", json!(""), Code::Value, "/signers/ana/keys/0/file"),
        ("/signers/ana/keys/1", json!({"file": "ana.pub"}), Code::Duplicate, "/signers/ana/keys/1"),
        (
            "/revoked/0",
            json!({"digest": "sha256:00", "reason": "x"}),
            Code::Value,
            "/revoked/0/digest",
        ),
        ("/revoked/0/reason", json!(""), Code::Empty, "/revoked/0/reason"),
        ("/revoked", json!([]), Code::Empty, "/revoked"),
    ]);
    let problems = load(&with("/schemas", json!({}))).unwrap_err();
    assert!(problems.iter().any(|p| p.code == Code::Empty && p.pointer == "/schemas"));
    let text = sample().to_string().replace("\"maxLayers\":9", "\"maxLayers\":9.0");
    assert_eq!(parse(text.as_bytes(), &Limits::default()).unwrap_err()[0].code, Code::Number);
    let mut policy = with("/issued", json!("2026-11-01T00:00:00Z"));
    set(&mut policy, "/expires", json!("2026-11-01T00:00:00Z"));
    assert_eq!(only(&policy).code, Code::Conflict);
}

#[test]
fn names_lead_to_something_and_stand_once() {
    refused(&[
        (
            "/rules/0/require/0/signed/by/1",
            json!("cleo"),
            Code::Dangling,
            "/rules/0/require/0/signed/by/1",
        ),
        (
            "/rules/0/require/0/signed/by/1",
            json!("ana"),
            Code::Duplicate,
            "/rules/0/require/0/signed/by/1",
        ),
        (
            "/rules/0/require/0/id",
            json!("shape"),
            Code::Duplicate,
            "/rules/0/require/1/anyOf/1/1/id",
        ),
        ("/rules/1/id", json!("limits"), Code::Duplicate, "/rules/1/id"),
        ("/revoked/0/signer", json!("cleo"), Code::Dangling, "/revoked/0/signer"),
        ("/exceptions/0/waive/0", json!("app/none"), Code::Dangling, "/exceptions/0/waive/0"),
        ("/exceptions/0/waive/0", json!("none/both"), Code::Dangling, "/exceptions/0/waive/0"),
        ("/exceptions/0/waive/0", json!("app"), Code::Value, "/exceptions/0/waive/0"),
        ("/exceptions/0/waive/1", json!("limits/size"), Code::Duplicate, "/exceptions/0/waive/1"),
        (
            "/schemas/other",
            json!({"$ref": "#/schemas/nothing"}),
            Code::Dangling,
            "/schemas/other/$ref",
        ),
    ]);
    let mut twice = with("/exceptions/1", sample()["exceptions"][0].clone());
    assert_eq!(only(&twice).pointer, "/exceptions/1/id");
    set(&mut twice, "/exceptions/1/id", json!("pause-2"));
    load(&twice).unwrap();
}

#[test]
fn scopes_do_not_compete() {
    refused(&[
        ("/rules/1/scope/0", json!("a.example/app"), Code::Scope, "/rules/1/scope/0"),
        ("/rules/1/scope/1", json!("a.example/old/**"), Code::Duplicate, "/rules/1/scope/1"),
        ("/rules/1/scope", json!([]), Code::Empty, "/rules/1/scope"),
        ("/rules/1/scope/0", json!("A.example/old/**"), Code::Scope, "/rules/1/scope/0"),
        ("/rules/1/scope/0", json!("old/app"), Code::Scope, "/rules/1/scope/0"),
        ("/rules/1/scope/0", json!("a.example/app:v1"), Code::Scope, "/rules/1/scope/0"),
    ]);
    let mut crossing = with("/rules/1/scope/0", json!("*.b.example/**"));
    load(&crossing).unwrap();
    set(&mut crossing, "/rules/2/scope/0", json!("*.example:5000/**"));
    let problem = only(&crossing);
    assert_eq!(problem.pointer, "/rules/1/scope/0");
    for name in ["`*.b.example/**`", "`old`", "`*.example:5000/**`", "`rest`"] {
        assert!(problem.message.contains(name), "{problem}");
    }
    // in the baseline every matching rule holds, so that none competes
    let same = json!({"id": "more", "scope": ["**"], "reject": {"reason": "x"}});
    load(&with("/baseline/1", same)).unwrap();
}

#[test]
fn nothing_is_vacuous() {
    let image = json!({"id": "only", "image": {"maxLayers": 1}});
    let signed = json!({"id": "s", "signed": {"by": ["ana"], "reference": "none"}});
    let require = json!([{"id": "x", "anyOf": [[image], [signed]]}]);
    let mut unproven = with("/rules/0/require", require);
    assert_eq!(
        (only(&unproven).code, only(&unproven).pointer.as_str()),
        (Code::Vacuous, "/rules/0/require")
    );
    set(
        &mut unproven,
        "/rules/0/require/0/anyOf/0/1",
        json!({"id": "t", "signed": {"by": ["bo"], "reference": "none"}}),
    );
    load(&unproven).unwrap();
    refused(&[
        ("/rules/0/require", json!([]), Code::Empty, "/rules/0/require"),
        ("/rules/0/require/1/anyOf/0", json!([]), Code::Empty, "/rules/0/require/1/anyOf/0"),
        ("/baseline/0/require/0/image", json!({}), Code::Empty, "/baseline/0/require/0/image"),
        (
            "/baseline/0/require/0/image/platforms",
            json!({}),
            Code::Empty,
            "/baseline/0/require/0/image/platforms",
        ),
        (
            "/baseline/0/require/0/image/annotations",
            json!({}),
            Code::Empty,
            "/baseline/0/require/0/image/annotations",
        ),
        (
            "/baseline/0/require/0/image/maxLayers",
            json!(0),
            Code::Value,
            "/baseline/0/require/0/image/maxLayers",
        ),
        (
            "/baseline/0/require/0/image/allowEmpty",
            json!(true),
            Code::Conflict,
            "/baseline/0/require/0/image/allowEmpty",
        ),
        (
            "/baseline/0/require/0/image/manifestTypes",
            json!(["a/b", "a/b"]),
            Code::Duplicate,
            "/baseline/0/require/0/image/manifestTypes/1",
        ),
        (
            "/baseline/0/require/0/image/layerTypes",
            json!(["a/*"]),
            Code::Value,
            "/baseline/0/require/0/image/layerTypes/0",
        ),
        (
            "/baseline/0/require/0/image/config",
            json!({}),
            Code::Schema,
            "/baseline/0/require/0/image/config",
        ),
        ("/rules/0/accept", json!({"reason": "x"}), Code::Conflict, "/rules/0"),
        (
            "/rules/1/mode",
            json!({"auditUntil": "2027-01-01T00:00:00Z"}),
            Code::Conflict,
            "/rules/1/mode",
        ),
        ("/rules/1/accept", json!({}), Code::Missing, "/rules/1/accept"),
        (
            "/baseline/1",
            json!({"id": "b", "scope": ["**"], "accept": {"reason": "x"}}),
            Code::Conflict,
            "/baseline/1/accept",
        ),
        ("/rules/0/mode", json!({}), Code::Missing, "/rules/0/mode"),
    ]);
    let platforms = json!({"require": ["linux/arm"], "allow": ["linux/amd64", "linux/arm/v6"]});
    let problem = only(&with("/baseline/0/require/0/image/platforms", platforms));
    assert_eq!(problem.code, Code::Unsatisfiable);
    let same = json!({"require": ["linux/arm", "linux/arm64/v8"], "allow": ["linux/arm/v7", "linux/arm64"]});
    load(&with("/baseline/0/require/0/image/platforms", same)).unwrap();
}

#[test]
fn thresholds_are_written_and_can_be_met() {
    let at = format!("{CHECK}/signed/atLeast");
    refused(&[
        (&at, json!(0), Code::Value, &at),
        (&at, json!(3), Code::Value, &at),
        (&at, json!(null), Code::Type, &at),
    ]);
    let mut without = sample();
    without
        .pointer_mut(&format!("{CHECK}/signed"))
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("atLeast");
    assert_eq!(
        (only(&without).code, only(&without).pointer),
        (Code::Missing, format!("{CHECK}/signed/by"))
    );
    let names: Vec<String> = (0..17).map(|i| format!("s{i}")).collect();
    let mut many = sample();
    for name in &names {
        set(&mut many, &format!("/signers/{name}"), json!({"keys": [{"file": name}]}));
    }
    set(&mut many, &format!("{CHECK}/signed/by"), json!(names));
    assert_eq!(only(&many).code, Code::Value);
    set(&mut many, &format!("{CHECK}/signed/by"), json!(names[..16]));
    load(&many).unwrap();
}

#[test]
fn alternatives_nest_three_deep() {
    let leaf =
        |i: usize| json!({"id": format!("l{i}"), "signed": {"by": ["ana"], "reference": "none"}});
    let nest = |depth: usize| {
        (0..depth).fold(
            leaf(99),
            |inner, i| json!({"id": format!("n{i}"), "anyOf": [[inner], [leaf(i)]]}),
        )
    };
    load(&with("/rules/0/require/2", nest(3))).unwrap();
    assert_eq!(only(&with("/rules/0/require/2", nest(4))).code, Code::Value);
    let lone = json!([[leaf(1)]]);
    refused(&[("/rules/0/require/1/anyOf", lone, Code::Value, "/rules/0/require/1/anyOf")]);
}

#[test]
fn mirrors_are_prefixes_in_normal_form_that_map_once() {
    refused(
        &[
            ("/mirrors", json!({}), Code::Empty, "/mirrors"),
            ("/mirrors/mirror.example~1up", json!(3), Code::Type, "/mirrors/mirror.example~1up"),
            ("/mirrors/m.example", json!("Up.example"), Code::Scope, "/mirrors/m.example"),
            ("/mirrors/m.example", json!("up.example/**"), Code::Scope, "/mirrors/m.example"),
            ("/mirrors/nohost", json!("other.example"), Code::Scope, "/mirrors/nohost"),
            (
                "/mirrors/up.example~1x",
                json!("z.example"),
                Code::Conflict,
                "/mirrors/up.example~1x",
            ),
            (
                "/mirrors/z.example",
                json!("mirror.example/up/x"),
                Code::Conflict,
                "/mirrors/mirror.example~1up",
            ),
            (
                "/mirrors/self.example",
                json!("self.example/x"),
                Code::Conflict,
                "/mirrors/self.example",
            ),
        ]
        .map(|(p, v, c, s)| (p, v, c, s)),
    );
    load(&with("/mirrors/up.example-2", json!("docker.io/library"))).unwrap();
    load(&with("/mirrors/mirror.example", json!("docker.io"))).unwrap();
    let problem = only(&with("/mirrors/m.example", json!("index.docker.io")));
    assert!(problem.message.contains("write `docker.io`"), "{problem}");
}

#[test]
fn schemas_do_not_run_in_circles_or_explode() {
    let mut circle = with(
        "/schemas/a",
        json!({"type": "object", "required": ["x"], "properties": {"x": {"$ref": "#/schemas/b"}}}),
    );
    set(&mut circle, "/schemas/b", json!({"anyOf": [{"$ref": "#/schemas/a"}, {"const": 1}]}));
    assert!(load(&circle).unwrap_err().iter().any(|p| p.message.contains("circle")));
    let mut bomb = sample();
    set(&mut bomb, "/schemas/s0", json!({"const": 1}));
    for i in 1..15 {
        let below = json!({"$ref": format!("#/schemas/s{}", i - 1)});
        let ten = vec![below; 10];
        set(&mut bomb, &format!("/schemas/s{i}"), json!({"allOf": ten}));
    }
    assert!(load(&bomb).unwrap_err().iter().any(|p| p.message.contains("more than 100000")));
}

/// Nested as deep as is read, and one deeper: references are no way around.
#[test]
fn schemas_nest_to_a_bound() {
    let nest = |levels: usize, inner: Value| {
        (0..levels).fold(inner, |inner, _| json!({ "type": "array", "items": inner }))
    };
    let policy = |levels: usize| {
        let mut policy = with("/schemas/a", nest(50, json!({ "type": "string" })));
        set(&mut policy, "/schemas/b", nest(levels, json!({ "$ref": "#/schemas/a" })));
        policy
    };
    load(&policy(49)).unwrap();
    assert_eq!(
        (only(&policy(50)).code, only(&policy(50)).pointer),
        (Code::Schema, "/schemas/b".into())
    );
    let mut chain = sample();
    for i in 0..17 {
        let next = json!({ "$ref": format!("#/schemas/c{}", i + 1) });
        set(
            &mut chain,
            &format!("/schemas/c{i}"),
            if i == 16 { json!({ "const": 1 }) } else { next },
        );
    }
    assert!(load(&chain).unwrap_err().iter().any(|p| p.message.contains("too long a chain")));
}

#[test]
fn several_problems_are_reported_together_in_the_order_of_the_text() {
    let mut policy = with("/name", json!("X"));
    set(&mut policy, "/rules/0/require/0/signed/by/0", json!("nobody"));
    set(&mut policy, "/exceptions/0/until", json!("2026-10-01T00:00:00Z"));
    let text = serde_json::to_string_pretty(&policy).unwrap();
    let problems = parse(text.as_bytes(), &Limits::default()).unwrap_err();
    let places: Vec<_> = problems.iter().map(|p| p.range.clone().unwrap().start).collect();
    assert_eq!(problems.len(), 3);
    assert!(places.is_sorted());
    let lots: Vec<_> = (0..1000).map(|_| json!({})).collect();
    assert_eq!(load(&with("/rules", json!(lots))).unwrap_err().len(), 50);
}

#[test]
fn a_problem_is_shown_with_line_and_column_and_what_was_expected() {
    let text = br#"{
  "ocisign": "policy/1",
  "name": "hello",
  "signers": { "me": { "keys": [{ "file": "me.pub" }] } },
  "rules": [
    { "id": "hello", "scope": ["ghcr.io/me/hello"],
      "require": [{ "id": "mine", "signed": { "by": ["you"], "reference": "repository" } }] }
  ]
}"#;
    let problems = parse(text, &Limits::default()).unwrap_err();
    let shown = render(&problems[0], text, "hello.json");
    assert!(shown.contains("error[dangling]: there is no signer `you`"), "{shown}");
    assert!(shown.contains("hello.json:7:54"), "{shown}");
    assert!(shown.contains("\"by\": [\"you\"]"), "{shown}");
    assert!(shown.contains("help: declare it under `signers`, or write one of `me`"), "{shown}");
}

/// A policy of the greatest size is answered soon, whatever it is full of.
#[test]
fn a_large_policy_takes_little_time() {
    let names = |n: usize, f: &dyn Fn(usize) -> Value| -> Vec<Value> { (0..n).map(f).collect() };
    let map = |n: usize, f: &dyn Fn(usize) -> (String, Value)| -> Value {
        Value::Object((0..n).map(f).collect())
    };
    let wildcard = |i: usize| match i % 2 {
        0 => json!(format!("*.x{i}.example/**")),
        _ => json!(format!("*.y{i}.example:5000/**")),
    };
    for large in [
        with("/rules/1/scope", json!(names(30_000, &wildcard))),
        with("/signers/ana/keys", json!(names(40_000, &|i| json!({ "file": format!("{i}") })))),
        with(
            "/mirrors",
            map(20_000, &|i| (format!("m.example/{i}"), json!(format!("u.example/{i}")))),
        ),
        with("/signers", map(20_000, &|i| (format!("s{i}"), json!({ "keys": [{ "file": "a" }] })))),
        with(
            "/rules",
            json!(names(9_000, &|i| {
                json!({ "id": format!("r{i}"), "scope": [format!("a.example/{i}")], "accept": { "reason": "x" } })
            })),
        ),
        with("/schemas", map(20_000, &|i| (format!("s{i}"), json!({ "const": i })))),
        with(
            "/revoked",
            json!(names(9_000, &|i| {
                json!({ "digest": format!("sha256:{i:064x}"), "reason": "x" })
            })),
        ),
        with("/rules/0/scope", json!("x".repeat(1_000_000))),
        with("/schemas/any-object", json!({ "enum": names(90_000, &|i| json!(i)) })),
    ] {
        let text = large.to_string();
        assert!(text.len() < 1 << 20, "{}", text.len());
        let begun = std::time::Instant::now();
        let answer = parse(text.as_bytes(), &Limits::default());
        let took = begun.elapsed();
        println!("{took:?}");
        assert!(took.as_secs() < 20, "{took:?}: {}", &text[..200]);
        let Err(problems) = answer else { continue };
        problems.iter().for_each(|p| assert!(p.message.len() < 2000, "{}", p.message.len()));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(problems) = parse(&bytes, &Limits::default()) {
            prop_assert!(!problems.is_empty());
            for problem in &problems {
                render(problem, &bytes, "p.json");
            }
        }
    }

    /// Cut, doubled and flipped policies: an answer, and one that can be shown.
    #[test]
    fn no_damage_makes_it_panic(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let all = super::shipped();
        let mut bytes = all[which.index(all.len())].1.clone();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b"{}[]\",:0"[usize::from(byte) % 8]),
                2 => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + usize::from(byte)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        if let Err(problems) = parse(&bytes, &Limits::default()) {
            for problem in &problems {
                render(problem, &bytes, "p.json");
            }
        }
    }
}
