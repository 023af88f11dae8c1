//! Verdicts as others read them: the JSON and its schema, the text, and what
//! hostile names cannot do to either.

use std::collections::BTreeSet;

use ocisign::evidence::{Reason, Rejection};
use ocisign::policy::{Decision, Row, Verdict};
use ocisign::report::{Style, json, text};
use serde_json::Value;

use crate::generate::world;
use crate::meaning::Case;
use crate::{allows, for_all, judge, judge_with};

const SCHEMA: &str = include_str!("../../docs/verdict-1.schema.json");
const PAGE: &str = include_str!("../../docs/verdict.md");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

#[test]
fn every_verdict_is_of_the_published_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for_all(300, 10, world(), |world| {
        let rejections = every_reason();
        let verdict = judge_with(&world.linked, &world, &rejections);
        let value: Value = serde_json::from_str(&json(&verdict)).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
        proptest::prop_assert!(errors.is_empty(), "{errors:?} {value:#}");
        Ok(allows(&verdict))
    });
}

fn every_reason() -> Vec<Rejection> {
    let detail = || "as the test says".to_owned();
    let reasons = [
        Reason::BadSignature,
        Reason::WrongSubject(detail()),
        Reason::Malformed(detail()),
        Reason::Corrupt(detail()),
        Reason::Unsupported(detail()),
        Reason::Unproven(detail()),
        Reason::Unfit(detail()),
        Reason::UnknownKey(None),
        Reason::UnknownKey(Some(detail())),
        Reason::LimitExceeded(detail()),
        Reason::Unavailable(detail()),
        Reason::Foreign(detail()),
    ];
    let rejection = |reason| Rejection { item: "somewhere".to_owned(), format: None, reason };
    reasons.into_iter().map(rejection).collect()
}

#[test]
fn the_schema_refuses_what_contradicts_itself() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good: Value = serde_json::from_str(&json(&Case::new().verdict())).unwrap();
    assert!(validator.is_valid(&good));
    for (field, value) in [
        ("version", Value::from("verdict/2")),
        ("decision", Value::from("deny")),
        ("row", Value::from("incomplete")),
        ("rule", Value::Null),
        ("digest", Value::from("latest")),
        ("more", Value::from(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(!validator.is_valid(&bad), "{field}");
    }
}

/// Names of the schema and of the page are the same, so that neither is
/// behind.
#[test]
fn the_page_names_every_field_and_word_of_the_schema() {
    let mut names = BTreeSet::new();
    collect(&schema(), &mut names);
    for name in names {
        assert!(PAGE.contains(&format!("`{name}`")), "docs/verdict.md does not explain `{name}`");
    }
}

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    let Value::Object(object) = schema else { return };
    for (key, value) in object {
        match (key.as_str(), value) {
            ("properties" | "$defs", Value::Object(inner)) => {
                if key == "properties" {
                    names.extend(inner.keys().cloned());
                }
                inner.values().for_each(|value| collect(value, names));
            }
            // signature formats are the policy language's page
            ("enum", Value::Array(words)) if !words.contains(&Value::from("appc")) => {
                names.extend(words.iter().filter_map(|w| Some(w.as_str()?.to_owned())));
            }
            (_, Value::Object(_)) => collect(value, names),
            _ => {}
        }
    }
}

const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\n\r  rule allow \u{e0041}";

fn hostile() -> Verdict {
    let mut case = Case::new();
    case.facts[0].item = HOSTILE.to_owned();
    case.facts[0].claims.name = Some(HOSTILE.to_owned());
    case.policy["rules"][0]["require"][0]["signed"]["reference"] = Value::from("repository");
    case.shape.nodes[0].annotations.insert("team".to_owned(), HOSTILE.to_owned());
    case.policy["rules"][0]["require"].as_array_mut().unwrap().push(serde_json::json!(
        {"id": "shape", "image": {"annotations": {"team": "edge"}}}
    ));
    let reason = Reason::Malformed(HOSTILE.repeat(100));
    case.rejections.push(Rejection { item: HOSTILE.to_owned(), format: None, reason });
    case.verdict()
}

#[test]
fn nothing_that_others_wrote_drives_a_terminal() {
    let verdict = hostile();
    assert_eq!(verdict.decision, Decision::Deny);
    let bad = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{e0041}');
    let shown = text(&verdict, Style { colour: false });
    assert!(!shown.contains(bad), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 1000), "a line has no bound");
    assert!(!shown.lines().any(|line| line.trim_start().starts_with("rule allow")), "{shown}");
    let written = json(&verdict);
    assert!(!written.contains(bad), "{written}");
    let read: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(read["rejections"][0]["item"], HOSTILE, "escaping loses nothing");
}

#[test]
fn text_begins_with_the_answer_and_ends_with_what_to_run() {
    let case = Case::new();
    let verdict = case.verdict();
    let shown = text(&verdict, Style { colour: false });
    assert!(shown.starts_with("allow  r.example/a/app:v1\n"), "{shown}");
    assert!(shown.contains("✓ signers: a signature of ana\n"), "{shown}");
    assert!(shown.contains("counts: ana, sigstore bundle 1 on sha256:"), "{shown}");
    assert_eq!(
        shown.lines().last(),
        Some(format!("run r.example/a/app@{}", case.request.digest).as_str())
    );
    assert!(!shown.contains('\u{1b}'));
    assert!(text(&verdict, Style { colour: true }).contains("\u{1b}[32mallow\u{1b}[0m"));
}

#[test]
fn a_denial_names_its_row_and_gives_nothing_to_run() {
    let mut case = Case::new();
    case.facts.clear();
    let shown = text(&case.verdict(), Style { colour: false });
    assert!(shown.starts_with("deny: checks  "), "{shown}");
    assert!(!shown.contains("\nrun "), "{shown}");
}

#[test]
fn long_lists_are_counted_and_the_most_telling_rejection_comes_first() {
    let mut case = Case::new();
    for i in 0..500 {
        let reason = Reason::Foreign(format!("junk {i}"));
        case.rejections.push(Rejection { item: format!("junk {i}"), format: None, reason });
    }
    let reason = Reason::BadSignature;
    case.rejections.push(Rejection { item: "zzz".to_owned(), format: None, reason });
    let verdict = case.verdict();
    let shown = text(&verdict, Style::default());
    let at = shown.lines().position(|line| line.starts_with("candidates")).unwrap();
    assert!(shown.lines().nth(at + 1).unwrap().contains("zzz"), "{shown}");
    assert!(shown.contains("and 491 more"), "{shown}");
    assert_eq!(verdict.rejections.len(), 501, "JSON shows all");
}

#[test]
fn the_words_of_rows_are_the_same_in_text_and_json() {
    for_all(200, 5, world(), |world| {
        let verdict = judge(&world.linked, &world);
        let word = serde_json::to_value(verdict.row).unwrap();
        let shown = text(&verdict, Style::default());
        if verdict.decision == Decision::Deny {
            let head = format!("deny: {}  ", word.as_str().unwrap());
            proptest::prop_assert!(shown.starts_with(&head), "{shown}");
        }
        Ok(verdict.row == Row::Checks)
    });
}
