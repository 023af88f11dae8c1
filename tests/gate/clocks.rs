//! Time: breakpoints of verdicts, and clocks that somebody sets.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ocisign::gate::{Clock, Settings};
use ocisign::image::Reference;
use ocisign::policy::Row;
use ocisign::{Decision, Engine};
use serde_json::json;

use crate::scene::*;

/// The instant so many seconds from now, as a policy writes it.
fn soon(hands: &Hands, seconds: i64) -> String {
    let whole = Timestamp::from_second(hands.wall().as_second() + seconds).unwrap();
    whole.to_string()
}

fn expiring(hands: &Hands, seconds: i64) -> Engine {
    let more = json!({"expires": soon(hands, seconds)});
    engine_of(&policy(&signed_by("ana"), &more), &limits())
}

/// P11, where it matters: an allow is not remembered past the instant at
/// which time alone ends it.
#[tokio::test]
async fn an_allow_ends_at_its_next_breakpoint() {
    let (registry, _) = signed_app();
    let hands = Hands::new();
    let gate = gate_with(expiring(&hands, 60), hands.settings());
    let tagged = name(&registry, REPOSITORY, ":v1");
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
    hands.pass(58);
    assert_eq!(ask(&gate, &tagged).await, STILL_ALLOWED);
    hands.pass(2);
    let answer = gate.judge(&question(&tagged)).await.unwrap();
    assert_eq!(answer.verdict().row, Row::PolicyExpired);
}

/// An exception that begins turns a deny into an allow on time.
#[tokio::test]
async fn a_deny_ends_at_its_next_breakpoint() {
    let (registry, image) = signed_app();
    let hands = Hands::new();
    let exception = json!({
        "id": "e", "digests": [image.digest], "waive": ["signed/s"], "acceptUnsigned": true,
        "from": soon(&hands, 5), "until": soon(&hands, 500),
        "reason": "a test", "approvedBy": "dora",
    });
    let text = policy(&signed_by("bo"), &json!({"exceptions": [exception]}));
    let gate = gate_with(engine_of(&text, &limits()), hands.settings());
    let tagged = name(&registry, REPOSITORY, ":v1");
    assert_eq!(ask(&gate, &tagged).await, DENIED);
    hands.pass(3);
    assert_eq!(ask(&gate, &tagged).await, STILL_DENIED);
    hands.pass(3);
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
}

/// A clock that is set, either way, ends what is remembered: it cannot be
/// known which of its times was the wrong one.
#[tokio::test]
async fn a_clock_that_jumps_ends_what_is_remembered() {
    let (registry, _) = signed_app();
    let hands = Hands::new();
    let gate = gate_with(engine(&signed_by("ana")), hands.settings());
    let tagged = name(&registry, REPOSITORY, ":v1");
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
    for jump in [-1, -86_400, 86_400, 601, -601] {
        assert_eq!(ask(&gate, &tagged).await, STILL_ALLOWED);
        hands.set_by(jump);
        assert_eq!(ask(&gate, &tagged).await, ALLOWED, "{jump}");
    }
}

/// The time of day stands still, or is set back by as much as passes: the
/// other clock ends it.
#[tokio::test]
async fn a_time_of_day_that_stands_still_keeps_nothing_alive() {
    let (registry, _) = signed_app();
    let hands = Hands::new();
    let gate = gate_with(engine(&signed_by("ana")), hands.settings());
    let tagged = name(&registry, REPOSITORY, ":v1");
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
    hands.pass(600);
    hands.set_by(-600);
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
}

/// Tells a list of instants, one each time that it is asked, then the last.
struct Script(Mutex<Vec<Timestamp>>);

impl Clock for Script {
    fn wall(&self) -> Timestamp {
        let mut left = self.0.lock().unwrap();
        if left.len() > 1 { left.remove(0) } else { left[0] }
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(1)
    }
}

async fn judged_by(
    script: Vec<Timestamp>,
    engine: Engine,
    tagged: &Reference,
) -> Result<(Decision, Row), String> {
    let clock = Arc::new(Script(Mutex::new(script)));
    let gate = gate_with(engine, Settings { clock, ..Settings::default() });
    let answer = gate.judge(&question(tagged)).await.map_err(|why| why.to_string())?;
    Ok((answer.verdict().decision, answer.verdict().row))
}

/// Reading took longer than the verdict lasts: it is judged again, and what
/// is given holds when it is given.
#[tokio::test]
async fn a_verdict_that_is_over_when_it_is_reached_is_judged_again() {
    let (registry, _) = signed_app();
    let tagged = name(&registry, REPOSITORY, ":v1");
    let hands = Hands::new();
    let now = hands.wall();
    let at = |seconds: i64| now + SignedDuration::from_secs(seconds);
    let judged = judged_by(vec![at(0), at(61)], expiring(&hands, 60), &tagged).await;
    assert_eq!(judged, Ok((Decision::Deny, Row::PolicyExpired)));
    // a clock that goes back each time is no clock to judge by
    let back = (0..20).map(|step| at(-step)).collect();
    let why = judged_by(back, expiring(&hands, 60), &tagged).await.unwrap_err();
    assert!(why.contains("clock"), "{why}");
}
