//! The published JSON Schema says what the parser does, as far as a schema
//! can say it.

use super::*;
use ocisign::policy::Code;

fn published() -> (Value, jsonschema::Validator) {
    let bytes = std::fs::read(policies().join("policy-1.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&bytes).unwrap();
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .offline()
        .build(&schema)
        .unwrap();
    (schema, validator)
}

#[test]
fn every_shipped_policy_is_valid() {
    let (_, validator) = published();
    for (name, bytes) in shipped() {
        let policy = serde_json::from_slice(&bytes).unwrap();
        let errors: Vec<_> = validator.iter_errors(&policy).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    assert!(validator.is_valid(&sample()));
}

/// Every object of the schema says which keys it has, and every key what it
/// is for, so that an editor can show it.
#[test]
fn every_field_is_described_and_none_is_open() {
    let (schema, _) = published();
    let mut described = 0;
    for (name, part) in
        schema["$defs"].as_object().unwrap().iter().chain([(&"policy".to_owned(), &schema)])
    {
        let Some(fields) = part.get("properties").and_then(Value::as_object) else { continue };
        assert_eq!(part["additionalProperties"], json!(false), "{name}");
        for (field, is) in fields.iter().filter(|_| name != "schema") {
            let plain = is.get("description").is_some() || is.get("items").is_some();
            assert!(plain, "{name}.{field} has no description");
            described += 1;
        }
    }
    assert!(described > 60, "{described}");
}

/// Kinds of problem that a schema can see too.
const STRUCTURAL: [Code; 5] =
    [Code::UnknownField, Code::NotYet, Code::Missing, Code::Type, Code::Empty];

/// Fields whose rule about their content no schema repeats: it holds for
/// JSON Schema's own words inside of `config` and `manifest`.
fn in_predicate(pointer: &str) -> bool {
    ["/schemas/", "/config/", "/manifest/"].iter().any(|part| pointer.contains(part))
}

#[test]
fn parser_and_schema_agree_on_changed_policies() {
    let (_, validator) = published();
    let (mut both, mut parser_only) = (0, 0);
    let mut sources = vec![sample()];
    sources.extend(shipped().iter().map(|(_, b)| serde_json::from_slice::<Value>(b).unwrap()));
    for source in sources {
        for (what, policy) in changed(&source) {
            let accepted = load(&policy);
            let valid = validator.is_valid(&policy);
            match accepted {
                // what the schema refuses, the parser refuses
                Ok(_) => assert!(valid, "the schema is stricter: {what}"),
                Err(problems) => {
                    let plain = problems
                        .iter()
                        .any(|p| STRUCTURAL.contains(&p.code) && !in_predicate(&p.pointer));
                    assert!(!(plain && valid), "the schema is laxer: {what}\n{problems:#?}");
                    if valid { parser_only += 1 } else { both += 1 }
                }
            }
        }
    }
    assert!(both > 2000, "{both} refused by both, {parser_only} by the parser alone");
}

/// Every policy that is one change away: a value of another type, emptied,
/// left out, or with one more field.
fn changed(source: &Value) -> Vec<(String, Value)> {
    let mut pointers = Vec::new();
    collect(source, String::new(), &mut pointers);
    let mut all = Vec::new();
    for pointer in pointers {
        let here = source.pointer(&pointer).unwrap();
        let mut values =
            vec![json!(null), json!(true), json!(7), json!(""), json!("x y"), json!([]), json!({})];
        values.push(json!(["x"]));
        if here.is_object() {
            let mut more = here.clone();
            more["bogus"] = json!(1);
            values.push(more);
        }
        for value in values.into_iter().filter(|v| v != here) {
            let mut policy = source.clone();
            let what = format!("{pointer} = {value}");
            match policy.pointer_mut(&pointer) {
                Some(place) => *place = value,
                None => continue,
            }
            all.push((what, policy));
        }
        if let Some(policy) = removed(source, &pointer) {
            all.push((format!("{pointer} left out"), policy));
        }
    }
    for (field, at) in LATER {
        for pointer in at {
            let mut policy = source.clone();
            if let Some(Value::Object(map)) = policy.pointer_mut(pointer) {
                map.insert((*field).to_owned(), json!({}));
                all.push((format!("{pointer}/{field}"), policy));
            }
        }
    }
    all
}

const LATER: [(&str, &[&str]); 8] = [
    ("include", &[""]),
    ("roots", &[""]),
    ("keyless", &["/signers/ana", "/signers/ci"]),
    ("x509", &["/signers/ana", "/signers/ci"]),
    ("time", &["/signers/ana", "/rules/0/require/0/signed"]),
    ("from", &["/signers/ana/keys/0"]),
    ("maxAge", &["/rules/0/require/0/signed"]),
    ("attested", &["/rules/0/require/0"]),
];

fn removed(source: &Value, pointer: &str) -> Option<Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    let mut policy = source.clone();
    match policy.pointer_mut(parent)? {
        Value::Object(map) => drop(map.remove(&key.replace("~1", "/").replace("~0", "~"))?),
        Value::Array(items) => drop(items.remove(key.parse().ok()?)),
        _ => return None,
    }
    Some(policy)
}

fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
    pointers.push(at.clone());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(value, format!("{at}/{key}"), pointers);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                collect(value, format!("{at}/{i}"), pointers);
            }
        }
        _ => {}
    }
}
