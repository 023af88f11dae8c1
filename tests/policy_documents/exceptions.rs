//! Exceptions: what they may leave, over every set that is live together.

use super::*;
use ocisign::policy::Code;

/// A rule with two proofs, and exceptions that waive them.
fn policy(exceptions: &[Value]) -> Value {
    json!({
        "ocisign": "policy/1", "name": "p",
        "signers": { "ana": { "keys": [{ "file": "a" }] } },
        "rules": [{ "id": "r", "scope": ["a.example/**"], "require": [
            { "id": "x", "signed": { "by": ["ana"], "reference": "none" } },
            { "id": "y", "signed": { "by": ["ana"], "reference": "none" } },
            { "id": "z", "anyOf": [
                [{ "id": "z1", "signed": { "by": ["ana"], "reference": "none" } }],
                [{ "id": "z2", "signed": { "by": ["ana"], "reference": "none" } },
                 { "id": "z3", "image": { "maxLayers": 3 } }]] }] }],
        "exceptions": exceptions,
    })
}

fn exception(id: &str, waive: &[&str], days: (u32, u32), target: Value) -> Value {
    let mut one = json!({
        "id": id, "waive": waive.iter().map(|c| format!("r/{c}")).collect::<Vec<_>>(),
        "from": format!("2026-11-{:02}T00:00:00Z", days.0),
        "until": format!("2026-11-{:02}T00:00:00Z", days.1),
        "reason": "because", "approvedBy": "me"
    });
    one.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
    one
}

fn everywhere() -> Value {
    json!({ "scope": ["a.example/**"] })
}

fn digest(c: char) -> Value {
    json!({ "digests": [format!("sha256:{}", c.to_string().repeat(64))] })
}

fn verdict(exceptions: &[Value]) -> Result<(), Vec<Code>> {
    load(&policy(exceptions)).map(drop).map_err(|p| p.iter().map(|p| p.code).collect())
}

#[test]
fn one_that_takes_every_proof_must_say_so() {
    let all = exception("a", &["x", "y", "z"], (1, 9), everywhere());
    assert_eq!(verdict(std::slice::from_ref(&all)), Err(vec![Code::Vacuous]));
    let mut said = all;
    said["acceptUnsigned"] = json!(true);
    assert_eq!(verdict(&[said.clone()]), Ok(()));
    said["acceptUnsigned"] = json!(false);
    assert_eq!(verdict(&[said]), Err(vec![Code::Value]));
    assert_eq!(verdict(&[exception("a", &["x", "y"], (1, 9), everywhere())]), Ok(()));
}

#[test]
fn a_branch_keeps_its_proof_too() {
    assert_eq!(verdict(&[exception("a", &["z1"], (1, 9), everywhere())]), Err(vec![Code::Vacuous]));
    assert_eq!(verdict(&[exception("a", &["z2"], (1, 9), everywhere())]), Err(vec![Code::Vacuous]));
    assert_eq!(verdict(&[exception("a", &["z3"], (1, 9), everywhere())]), Ok(()));
    assert_eq!(verdict(&[exception("a", &["z"], (1, 9), everywhere())]), Ok(()));
}

#[test]
fn two_that_are_live_together_are_looked_at_together() {
    let a = |days| exception("a", &["x", "z"], days, everywhere());
    let b = |days| exception("b", &["y"], days, everywhere());
    assert_eq!(verdict(&[a((1, 9)), b((5, 12))]), Err(vec![Code::Vacuous]));
    assert_eq!(verdict(&[b((5, 12)), a((1, 9))]), Err(vec![Code::Vacuous]));
    // the end is not part of it
    assert_eq!(verdict(&[a((1, 9)), b((9, 12))]), Ok(()));
    assert_eq!(verdict(&[a((1, 9)), b((8, 12))]), Err(vec![Code::Vacuous]));
}

#[test]
fn only_what_one_request_can_meet_counts() {
    let of = |id: &str, checks: &[&str], target| exception(id, checks, (1, 9), target);
    let at = |scope: &str| json!({ "scope": [scope] });
    // two repositories, two images: never both
    let apart = [of("a", &["x", "z"], at("a.example/m")), of("b", &["y"], at("a.example/n"))];
    assert_eq!(verdict(&apart), Ok(()));
    assert_eq!(verdict(&[of("a", &["x", "z"], digest('1')), of("b", &["y"], digest('2'))]), Ok(()));
    // a repository inside of the other's scope, an image of any repository
    let nested = [of("a", &["x", "z"], at("a.example/**")), of("b", &["y"], at("a.example/n"))];
    assert_eq!(verdict(&nested), Err(vec![Code::Vacuous]));
    let mixed = [of("a", &["x", "z"], digest('1')), of("b", &["y"], at("a.example/n"))];
    assert_eq!(verdict(&mixed), Err(vec![Code::Vacuous]));
    let same = [of("a", &["x", "z"], digest('1')), of("b", &["y"], digest('1'))];
    assert_eq!(verdict(&same), Err(vec![Code::Vacuous]));
    // elsewhere the rule is not asked
    assert_eq!(verdict(&[of("a", &["x", "y", "z"], at("b.example/**"))]), Ok(()));
}

#[test]
fn they_end_within_a_year_and_name_their_target_once() {
    let mut long = exception("a", &["x"], (1, 9), everywhere());
    long["until"] = json!("2027-11-02T00:00:00Z");
    assert_eq!(verdict(&[long.clone()]), Ok(()));
    long["until"] = json!("2027-11-02T00:00:01Z");
    assert_eq!(verdict(&[long.clone()]), Err(vec![Code::Value]));
    long["until"] = long["from"].clone();
    assert_eq!(verdict(&[long]), Err(vec![Code::Conflict]));
    let mut both = exception("a", &["x"], (1, 9), everywhere());
    both["digests"] = digest('1')["digests"].clone();
    assert_eq!(verdict(&[both]), Err(vec![Code::Conflict]));
    assert_eq!(verdict(&[exception("a", &["x"], (1, 9), json!({}))]), Err(vec![Code::Conflict]));
    assert_eq!(verdict(&[exception("a", &[], (1, 9), everywhere())]), Err(vec![Code::Empty]));
}

/// Many exceptions that could be live together are refused or checked, and
/// either takes little time.
#[test]
fn many_exceptions_take_little_time() {
    let many: Vec<Value> = (0..1500)
        .map(|i| {
            let check = ["x", "y", "z"][i % 3];
            let digest = json!({ "digests": [format!("sha256:{i:064x}")] });
            exception(&format!("e{i}"), &[check], (1, 2), digest)
        })
        .collect();
    let begun = std::time::Instant::now();
    assert!([Ok(()), Err(vec![Code::Vacuous])].contains(&verdict(&many)));
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}
