//! tests/data/reviews: each file in the directory of what must happen to it.

use std::collections::BTreeSet;

use ocisign::webhook::review::{BadReview, Change, Plan, Role, Use};

use super::*;

/// Calls `test` with each review of a directory and its expected lines.
fn each(what: &str, least: usize, test: impl Fn(&str, &[u8], Vec<&str>)) {
    let mut seen = 0;
    for entry in std::fs::read_dir(data(what)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|kind| kind == "json") {
            let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
            test(&name, &std::fs::read(&path).unwrap(), expected.lines().collect());
            seen += 1;
        }
    }
    assert!(seen >= least, "only {seen} reviews in {what}");
}

fn plan(name: &str, bytes: &[u8]) -> Result<Plan, String> {
    let review = Review::parse(bytes, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
    review.plan(&table()).map_err(|unreadable| unreadable.reason)
}

fn line(word: &str, found: &Use) -> String {
    let place = found.place();
    match &found.reference {
        Ok(reference) => format!("{word} {place}: {reference}"),
        Err(_) => format!("refuse {place}: {}", json!(found.text)),
    }
}

#[test]
fn what_is_no_review_is_refused_with_the_uid_where_there_is_one() {
    each("bad", 30, |name, bytes, expected| {
        let Err(BadReview { uid, reason }) = Review::parse(bytes, &Limits::default()) else {
            panic!("{name} was read")
        };
        assert!(reason.contains(expected[0]), "{name}: {reason}");
        assert_eq!(if uid.is_some() { "uid" } else { "no uid" }, expected[1], "{name}: {reason}");
    });
}

#[test]
fn objects_whose_images_cannot_be_told_are_unreadable() {
    each("unreadable", 30, |name, bytes, expected| {
        let reason = plan(name, bytes).expect_err(name);
        assert!(reason.contains(expected[0]), "{name}: {reason}");
    });
}

#[test]
fn requests_that_start_no_image_are_not_looked_into() {
    each("nothing", 12, |name, bytes, expected| {
        let plan = plan(name, bytes).expect(name);
        assert_eq!(plan.nothing.map(|why| why.as_str()), Some(expected[0]), "{name}");
        assert!(plan.uses.is_empty() && plan.kept.is_empty(), "{name}");
    });
}

#[test]
fn every_image_of_every_kind_is_judged_or_kept() {
    each("planned", 60, |name, bytes, expected| {
        let plan = plan(name, bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(plan.nothing, None, "{name}");
        let judged = plan.uses.iter().map(|found| match found.change {
            Change::New => line("judge", found),
            Change::Unchanged => line("judge-unchanged", found),
        });
        let found: BTreeSet<String> =
            judged.chain(plan.kept.iter().map(|found| line("keep", found))).collect();
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(found, expected, "{name}");
        // these carry every field of a pod spec
        for found in plan
            .uses
            .iter()
            .filter(|found| found.role == Role::EphemeralContainer && name != "ephemeral-container")
        {
            assert_eq!(found.access.pull_secrets, ["one", "two"], "{name}");
            assert_eq!(found.access.service_account, "builder", "{name}");
        }
    });
}
