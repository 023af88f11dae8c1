//! Manifests, indexes and configs. The numbers are those of the checklist
//! that the image specification's rules were put into: D descriptors,
//! M manifests, I indexes, C configs.

use ocisign::image::{Document, DocumentError, ImageConfig, media_type as mt};
use ocisign::limits::Limits;
use serde_json::{Value, json};

const SHA: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn manifest() -> Value {
    json!({
        "schemaVersion": 2, "mediaType": mt::OCI_MANIFEST,
        "config": {"mediaType": mt::OCI_CONFIG, "digest": SHA, "size": 10},
        "layers": [{"mediaType": mt::OCI_LAYER_GZIP, "digest": SHA, "size": 10}],
    })
}

fn index() -> Value {
    json!({
        "schemaVersion": 2, "mediaType": mt::OCI_INDEX,
        "manifests": [{"mediaType": mt::OCI_MANIFEST, "digest": SHA, "size": 10,
            "platform": {"architecture": "amd64", "os": "linux"}}],
    })
}

fn config() -> Value {
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [SHA]}})
}

/// `value` with what stands at `pointer` replaced; null there means removed.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap();
    match (parent, new) {
        (Value::Object(map), Value::Null) => drop(map.remove(key)),
        (Value::Object(map), new) => drop(map.insert(key.to_owned(), new)),
        (Value::Array(list), new) => list[key.parse::<usize>().unwrap()] = new,
        _ => unreachable!(),
    }
    value
}

fn parse(text: &str, expected: Option<&str>) -> Result<Document, DocumentError> {
    Document::parse(text.as_bytes(), expected, &Limits::default())
}

fn word(value: &Value) -> &'static str {
    word_as(&value.to_string(), None)
}

fn word_as(text: &str, expected: Option<&str>) -> &'static str {
    match parse(text, expected) {
        Ok(Document::Manifest(m)) if m.warnings.is_empty() => "manifest",
        Ok(Document::Manifest(_)) => "manifest, warned",
        Ok(Document::Index(i)) if i.warnings.is_empty() => "index",
        Ok(Document::Index(_)) => "index, warned",
        Ok(Document::Schema1(..)) => "schema 1",
        Err(DocumentError::Ambiguous(_)) => "ambiguous",
        Err(DocumentError::Malformed(_)) => "malformed",
        Err(DocumentError::Limit(_)) => "limit",
    }
}

#[test]
fn what_is_right_is_read() {
    assert_eq!(word(&manifest()), "manifest");
    assert_eq!(word(&index()), "index");
}

#[test]
fn each_rule_of_descriptors_is_held() {
    let l = "/layers/0";
    for (rule, field, new, want) in [
        ("D1", "mediaType", Value::Null, "malformed"),
        ("D1", "digest", Value::Null, "malformed"),
        ("D1", "size", Value::Null, "malformed"),
        ("D2", "mediaType", json!("text"), "malformed"),
        ("D2", "mediaType", json!("text/plain; charset=utf-8"), "malformed"),
        ("D2", "mediaType", json!(""), "malformed"),
        ("D2", "mediaType", json!(format!("a/{}", "b".repeat(128))), "malformed"),
        ("D3", "digest", json!("sha256:aa"), "malformed"),
        ("D3", "digest", json!(SHA.to_uppercase()), "malformed"),
        ("D3", "digest", json!(format!("sha256:{}", "A".repeat(64))), "malformed"),
        ("D3", "digest", json!("sha256:../../../../etc/passwd"), "malformed"),
        ("D3", "digest", json!(""), "malformed"),
        ("D4", "size", json!(-1), "malformed"),
        ("D4", "size", json!(1.0), "malformed"),
        ("D4", "size", json!("10"), "malformed"),
        ("D4", "size", json!(u64::MAX), "malformed"),
        ("D4", "size", json!(i64::MAX), "manifest"),
        ("D5", "digest", json!(format!("sha512:{}", "a".repeat(128))), "manifest"),
        ("D6", "digest", json!(format!("blake3:{}", "a".repeat(64))), "manifest"),
        (
            "D6",
            "digest",
            json!("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8"),
            "manifest",
        ),
        ("D7", "data", json!("YQ"), "malformed"),
        ("D7", "data", json!("YQ==\n"), "malformed"),
        ("D7", "data", json!("_w=="), "malformed"),
        ("D7", "data", json!("YQ=="), "manifest"),
        ("D8", "urls", json!(["https://a.example/x"]), "manifest"),
        ("D8", "urls", json!("https://a.example/x"), "malformed"),
        ("D9", "annotations", json!({"a": 1}), "malformed"),
        ("D9", "annotations", json!({"a": null}), "malformed"),
        ("D9", "annotations", json!({"a": "", "Size": "a name of one's own"}), "manifest"),
        ("D10", "artifactType", json!("no type"), "malformed"),
        ("D10", "artifactType", json!("a/b"), "manifest"),
        ("M7", "mediaType", json!(mt::OCI_EMPTY), "malformed"),
    ] {
        let text = with(manifest(), &format!("{l}/{field}"), new.clone());
        assert_eq!(word(&text), want, "{rule}: {field} {new}");
    }
    let null = manifest().to_string().replace("\"size\":10", "\"size\":10,\"annotations\":null");
    assert_eq!(word_as(&null, None), "manifest", "D9: null is absent");
}

#[test]
fn the_empty_descriptor_has_one_content() {
    let right = json!({"mediaType": mt::OCI_EMPTY, "digest": EMPTY, "size": 2, "data": "e30="});
    let of = |d: Value| word(&with(with(manifest(), "/config", d), "/artifactType", json!("a/b")));
    assert_eq!(of(right.clone()), "manifest");
    assert_eq!(of(with(right.clone(), "/data", Value::Null)), "manifest");
    assert_eq!(of(with(right.clone(), "/digest", json!(SHA))), "malformed");
    assert_eq!(of(with(right.clone(), "/size", json!(3))), "malformed");
    assert_eq!(of(with(right, "/data", json!("e31="))), "malformed");
}

#[test]
fn each_rule_of_manifests_is_held() {
    let empty = json!({"mediaType": mt::OCI_EMPTY, "digest": EMPTY, "size": 2});
    let subject = json!({"mediaType": mt::OCI_MANIFEST, "digest": SHA, "size": 1});
    for (rule, pointer, new, want) in [
        ("M1", "/schemaVersion", json!(3), "malformed"),
        ("M1", "/schemaVersion", Value::Null, "malformed"),
        ("M1", "/schemaVersion", json!("2"), "malformed"),
        ("M2", "/mediaType", Value::Null, "manifest, warned"),
        ("M2", "/mediaType", json!("a/b"), "malformed"),
        ("M2", "/mediaType", json!(mt::OCI_INDEX), "ambiguous"),
        ("M3", "/config", Value::Null, "malformed"),
        ("M3", "/config/mediaType", json!("a/unheard-of"), "manifest"),
        ("M4", "/config", empty, "malformed"),
        ("M5", "/layers", Value::Null, "malformed"),
        ("M5", "/layers", json!({}), "malformed"),
        ("M5", "/layers", json!([]), "manifest, warned"),
        ("M8", "/subject", subject, "manifest"),
        ("M8", "/subject", json!({"digest": SHA}), "malformed"),
        ("D10", "/artifactType", json!("x"), "malformed"),
        ("X1", "/unheardOf", json!({"a": 1.5}), "manifest"),
    ] {
        assert_eq!(word(&with(manifest(), pointer, new.clone())), want, "{rule}: {pointer} {new}");
    }
}

#[test]
fn each_rule_of_indexes_is_held() {
    for (rule, pointer, new, want) in [
        ("I1", "/schemaVersion", json!(3), "malformed"),
        ("I1", "/schemaVersion", Value::Null, "malformed"),
        ("I1", "/mediaType", Value::Null, "index, warned"),
        ("I1", "/mediaType", json!(mt::OCI_MANIFEST), "ambiguous"),
        ("I2", "/manifests", Value::Null, "malformed"),
        ("I2", "/manifests", json!([]), "index"),
        ("I3", "/manifests/0/mediaType", json!("a/unheard-of"), "index"),
        ("I4", "/manifests/0/mediaType", json!(mt::OCI_INDEX), "index"),
        ("I5", "/manifests/0/platform/os", Value::Null, "malformed"),
        ("I5", "/manifests/0/platform/architecture", Value::Null, "malformed"),
        ("I5", "/manifests/0/platform", Value::Null, "index"),
    ] {
        assert_eq!(word(&with(index(), pointer, new.clone())), want, "{rule}: {pointer} {new}");
    }
    // docker save 25.0 of an image without a name.
    let null = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":null}}"#, mt::OCI_INDEX);
    assert_eq!(word_as(&null, None), "index, warned");
}

#[test]
fn a_document_of_two_kinds_is_ambiguous() {
    for field in ["manifests", "fsLayers", "history"] {
        let text = with(manifest(), &format!("/{field}"), json!([]));
        assert_eq!(word(&text), "ambiguous", "{field}");
        let null = manifest().to_string().replacen('{', &format!("{{\"{field}\":null,"), 1);
        assert_eq!(word_as(&null, None), "manifest", "{field} null");
    }
    for field in ["config", "layers", "fsLayers", "history"] {
        let text = with(index(), &format!("/{field}"), json!([]));
        assert_eq!(word(&text), "ambiguous", "{field}");
    }
    for field in ["Manifests", "FSLayers", "fslayers", "HISTORY", "layerS", "\u{17f}ize"] {
        let text = with(manifest(), &format!("/{field}"), json!([]));
        assert_eq!(word(&text), "ambiguous", "{field}");
    }
    // Without a media type the fields decide, and must still be of one kind.
    let both = with(with(manifest(), "/mediaType", Value::Null), "/manifests", json!([]));
    assert_eq!(word(&both), "ambiguous");
    let twice = manifest().to_string().replacen("\"layers\"", "\"layers\":[],\"layers\"", 1);
    assert_eq!(word_as(&twice, None), "ambiguous");
}

#[test]
fn what_points_to_a_document_decides_its_type() {
    let (m, i) = (manifest().to_string(), index().to_string());
    assert_eq!(word_as(&m, Some(mt::OCI_MANIFEST)), "manifest");
    assert_eq!(word_as(&m, Some(mt::OCI_INDEX)), "ambiguous");
    assert_eq!(word_as(&m, Some(mt::DOCKER_MANIFEST)), "ambiguous");
    assert_eq!(word_as(&i, Some(mt::OCI_MANIFEST)), "ambiguous");
    let bare = with(index(), "/mediaType", Value::Null).to_string();
    assert_eq!(word_as(&bare, Some(mt::OCI_MANIFEST)), "ambiguous");
    let bare = with(manifest(), "/mediaType", Value::Null).to_string();
    assert_eq!(word_as(&bare, Some(mt::DOCKER_MANIFEST)), "malformed");
    assert_eq!(word_as(&m, Some("application/json")), "ambiguous");
    assert_eq!(word_as("{}", None), "malformed");
    assert_eq!(word_as("[]", None), "malformed");
}

#[test]
fn docker_schema_2_is_read_by_its_own_types() {
    let docker = with(manifest(), "/mediaType", json!(mt::DOCKER_MANIFEST));
    assert_eq!(word(&docker), "manifest");
    assert_eq!(word(&with(index(), "/mediaType", json!(mt::DOCKER_LIST))), "index");
    // manifest-v2-2.md: `mediaType` is required where the type is Docker's
    for (document, kind) in [(manifest(), mt::DOCKER_MANIFEST), (index(), mt::DOCKER_LIST)] {
        let bare = with(document, "/mediaType", Value::Null).to_string();
        let Err(DocumentError::Malformed(why)) = parse(&bare, Some(kind)) else { panic!() };
        assert!(why.contains("schema 2 requires it"), "{why}");
    }
    // one under the type of the other generation is neither
    let one = r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[]}"#;
    for kind in [mt::DOCKER_MANIFEST, mt::DOCKER_LIST, mt::OCI_MANIFEST, mt::OCI_INDEX] {
        assert!(parse(one, Some(kind)).is_err(), "{kind}");
    }
    for kind in [mt::DOCKER_SCHEMA_1, mt::DOCKER_SCHEMA_1_SIGNED] {
        let docker = with(manifest(), "/mediaType", json!(mt::DOCKER_MANIFEST)).to_string();
        assert_eq!(word_as(&docker, Some(kind)), "ambiguous", "{kind}");
        let bare = with(manifest(), "/mediaType", Value::Null).to_string();
        assert_eq!(word_as(&bare, Some(kind)), "malformed", "{kind}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let deep = with(manifest(), "/x", json!(0)).to_string();
    let deep = deep.replace("\"x\":0", &format!("\"x\":{}{}", "[".repeat(64), "]".repeat(64)));
    assert_eq!(word_as(&deep, None), "limit");
    let long = format!("{}{}", manifest(), " ".repeat(4 << 20));
    assert_eq!(word_as(&long, None), "limit");
}

#[test]
fn each_rule_of_configs_is_held() {
    let ok = |value: &Value| {
        ImageConfig::parse(value.to_string().as_bytes(), &Limits::default()).is_ok()
    };
    for (rule, pointer, new, want) in [
        ("C1", "/architecture", Value::Null, false),
        ("C1", "/os", Value::Null, false),
        ("C1", "/architecture", json!(""), true),
        ("C1", "/os", json!(""), true),
        ("C1", "/rootfs", Value::Null, false),
        ("C1", "/rootfs/type", Value::Null, false),
        ("C1", "/rootfs/type", json!("layers+base"), false),
        ("C1", "/rootfs/diff_ids", Value::Null, false),
        ("C2", "/rootfs/diff_ids/0", json!("sha256:0"), false),
        ("C2", "/rootfs/diff_ids/0", json!(1), false),
        ("C6", "/unheard_of", json!({"a": [1.5]}), true),
        ("C6", "/config", json!({"Labels": {"Architecture": "x86_64", "OS": "l"}}), true),
        ("1.7", "/OS", json!("windows"), false),
        ("1.7", "/Rootfs", json!({}), false),
    ] {
        assert_eq!(ok(&with(config(), pointer, new.clone())), want, "{rule}: {pointer} {new}");
    }
    let nulls = r#","variant":null,"history":null,"config":null,"created":null}"#;
    let text = config().to_string();
    let text = format!("{}{nulls}", text.strip_suffix('}').unwrap());
    let config = ImageConfig::parse(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(config.history_layers, None);
}

#[test]
fn diff_ids_and_history_count_the_layers() {
    let parse = |value: Value| {
        ImageConfig::parse(value.to_string().as_bytes(), &Limits::default()).unwrap()
    };
    let bare = parse(config());
    assert!(bare.check_counts(1).is_ok());
    assert!(bare.check_counts(0).is_err());
    assert!(bare.check_counts(2).is_err());
    let told = |history: Value| parse(with(config(), "/history", history)).check_counts(1);
    assert!(told(json!([{}, {"empty_layer": true}])).is_ok());
    assert!(told(json!([{"empty_layer": false}])).is_ok());
    assert!(told(json!([])).is_ok());
    assert!(told(json!([{}, {}])).is_err());
    assert!(told(json!([{"empty_layer": true}])).is_err());
}
