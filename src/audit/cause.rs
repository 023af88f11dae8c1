//! Why an image is denied or cannot be decided on, in words that are the same
//! for every image with the same trouble.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine;
use crate::evidence::Reason;
use crate::gate::Undecided;
use crate::image::Repository;
use crate::policy::{Action, Check, CheckKind, CheckOutcome, Policy, Row, RuleOutcome, Verdict};
use crate::store::StoreError;

/// Characters kept of one sentence.
const LONGEST: usize = 300;

/// Sentences of one kind kept in one cause.
const SENTENCES: usize = 3;

/// Causes kept of one image: a policy has few rules for one name.
pub(super) const CAUSES: usize = 16;

/// What kind of trouble it is, which says what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The image is not what its digests say.
    Integrity,
    /// The policy revokes something in it.
    Revoked,
    /// A rule says no.
    Rejected,
    /// No rule speaks of the name.
    NoRule,
    /// The policy is past its time.
    PolicyExpired,
    /// The policy is before its time.
    PolicyNotYetValid,
    /// Nothing that could be a signature is there.
    Unsigned,
    /// There are signatures, and they do not count for this check.
    NotCounting,
    /// Some signatures count, and too few do.
    TooFew,
    /// The image has not the shape that is asked for.
    Image,
    /// None of several ways holds.
    NoBranch,
    /// The registry does not have the image.
    Absent,
    /// The registry wants other credentials.
    Unauthorized,
    /// The registry does not answer.
    Unreachable,
    /// It took too long.
    Deadline,
    /// Something could not be read as far as the policy asks.
    Incomplete,
    /// The name is no image's.
    Name,
    /// Something else went wrong.
    Failed,
}

impl Class {
    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integrity => "integrity",
            Self::Revoked => "revoked",
            Self::Rejected => "rejected",
            Self::NoRule => "no-rule",
            Self::PolicyExpired => "policy-expired",
            Self::PolicyNotYetValid => "policy-not-yet-valid",
            Self::Unsigned => "unsigned",
            Self::NotCounting => "not-counting",
            Self::TooFew => "too-few",
            Self::Image => "image",
            Self::NoBranch => "no-branch",
            Self::Absent => "absent",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable => "unreachable",
            Self::Deadline => "deadline",
            Self::Incomplete => "incomplete",
            Self::Name => "name",
            Self::Failed => "failed",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Integrity => {
                "do not run these; find out who changed them, and push them again from the build"
            }
            Self::Revoked => "move the users to a release that is not revoked",
            Self::Rejected => "move the users to another image, or change the rule",
            Self::NoRule => {
                "add a rule with a scope over these names, or stop using them; \
                 `ocisign policy explain` shows what matches a name"
            }
            Self::PolicyExpired => "get the next edition of the policy; it denies everything",
            Self::PolicyNotYetValid => "look at the clock, or wait; the policy denies everything",
            Self::Unsigned => {
                "sign what was built by you (`ocisign sign --key KEY IMAGE`), replace the rest, \
                 or add an exception with an end to the policy"
            }
            Self::NotCounting => {
                "see what each signature lacks (`ocisign verify --policy FILE IMAGE`); sign again \
                 as the check asks, or let the policy name the signer"
            }
            Self::TooFew => "let the signers that are missing sign too",
            Self::Image => "build these again so that they have the shape that the check asks for",
            Self::NoBranch => "meet one of the ways in full; `ocisign verify` shows all of them",
            Self::Absent => "push them again, or remove the users: they could not start elsewhere",
            Self::Unauthorized => {
                "give credentials that may pull (`--auth-file`), then go on with `--resume`"
            }
            Self::Unreachable => "look at the registry and the network, then go on with `--resume`",
            Self::Deadline => "give more time (`--deadline`), then go on with `--resume`",
            Self::Incomplete => {
                "see what could not be read (`ocisign verify --policy FILE IMAGE`), \
                 then go on with `--resume`"
            }
            Self::Name => "write names as a runtime reads them: registry/repository:tag",
            Self::Failed => "read the reason, mend it, then go on with `--resume`",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One reason, as every image with the same trouble has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The kind of trouble.
    pub class: Class,
    /// Where the policy says it: `rule/check`, or a rule; empty where no rule
    /// does.
    pub at: String,
    /// What is asked for and what is lacking, without the image's own name
    /// and digests.
    pub why: String,
}

impl Cause {
    /// A cause in no rule.
    pub(super) fn new(class: Class, why: &str) -> Self {
        Self { class, at: String::new(), why: clip(why) }
    }

    fn at(class: Class, at: String, why: &str) -> Self {
        Self { class, at: clip(&at), why: clip(why) }
    }

    /// Its name in reports: `unsigned prod/signed`, `no-rule`.
    pub fn title(&self) -> String {
        match self.at.as_str() {
            "" => self.class.to_string(),
            at => format!("{} {at}", self.class),
        }
    }

    /// The rule, where it lies in one.
    pub fn rule(&self) -> Option<&str> {
        let rule = self.at.split('/').next().unwrap_or_default();
        Some(rule).filter(|rule| !rule.is_empty())
    }

    /// Whether it is longer than any audit writes.
    pub(super) fn is_over(&self) -> bool {
        [&self.at, &self.why].iter().any(|text| text.chars().count() > LONGEST + 1)
    }
}

/// Why a verdict does not allow. Empty where it does.
pub(super) fn of_verdict(verdict: &Verdict, policy: &Policy) -> Vec<Cause> {
    let outcomes = || verdict.rule.iter().chain(&verdict.baseline);
    let found = || common(verdict, &sentences(&verdict.findings));
    let host = verdict.reference.repository().host();
    let mut causes = match verdict.row {
        Row::Holds => Vec::new(),
        Row::PolicyExpired => vec![Cause::new(Class::PolicyExpired, &verdict.summary)],
        Row::PolicyNotYetValid => vec![Cause::new(Class::PolicyNotYetValid, &verdict.summary)],
        Row::Integrity => vec![Cause::new(Class::Integrity, &found())],
        // no image of a registry is of such a format
        Row::NotContentAddressed => vec![Cause::new(Class::Integrity, &verdict.summary)],
        Row::Revoked => vec![Cause::new(Class::Revoked, &sentences(&verdict.findings))],
        Row::NoRule => {
            let why = format!("no rule of the policy matches these names at {host}");
            vec![Cause::new(Class::NoRule, &why)]
        }
        Row::Rejected => outcomes()
            .filter(|rule| !rule.held && rule.reason.is_some())
            .map(|rule| {
                let reason = rule.reason.as_deref().unwrap_or_default();
                Cause::at(Class::Rejected, rule.id.clone(), reason)
            })
            .collect(),
        Row::Incomplete => vec![Cause::new(Class::Incomplete, &found())],
        Row::Checks => outcomes()
            .filter(|rule| !rule.held)
            .flat_map(|rule| failed(rule, verdict, policy))
            .collect(),
    };
    causes.sort();
    causes.dedup();
    causes.truncate(CAUSES);
    causes
}

/// What audit let through.
pub(super) fn let_through(verdict: &Verdict, policy: &Policy) -> Vec<Cause> {
    let audited = verdict.rule.iter().chain(&verdict.baseline);
    let audited = audited.filter(|rule| rule.held && rule.audit_until.is_some());
    audited.flat_map(|rule| failed(rule, verdict, policy)).take(CAUSES).collect()
}

/// Why there is no verdict.
pub(super) fn of_failure(failure: &Undecided, repository: &Repository) -> Cause {
    let class = match failure {
        Undecided::Deadline(_) => Class::Deadline,
        Undecided::Busy(_) | Undecided::Lost => Class::Failed,
        Undecided::Failed(error) => match error.as_ref() {
            engine::Error::Store(StoreError::Absent { .. }) => Class::Absent,
            engine::Error::Store(StoreError::Unauthorized { .. }) => Class::Unauthorized,
            engine::Error::Store(StoreError::Unreachable { .. }) => Class::Unreachable,
            engine::Error::Deadline(_) => Class::Deadline,
            engine::Error::Broken(_) => Class::Integrity,
            _ => Class::Failed,
        },
    };
    let host = repository.host();
    // one registry that is down is one cause, however many images it has
    let why = match class {
        Class::Absent => format!("{host} does not have these"),
        Class::Deadline => format!("{host} did not let these be read in time"),
        _ => without(&failure.to_string(), &[(&repository.to_string(), host)]),
    };
    Cause::new(class, &why)
}

fn failed(rule: &RuleOutcome, verdict: &Verdict, policy: &Policy) -> Vec<Cause> {
    let document = policy.document();
    let written = document.rules.iter().chain(&document.baseline).find(|r| r.id == rule.id);
    let checks = written.map_or(&[][..], |rule| checks_of(&rule.action));
    let failed = rule.checks.iter().filter(|outcome| !outcome.held);
    failed
        .map(|outcome| {
            let kind = checks.iter().find(|check| check.id == outcome.id).map(kind_of);
            let (class, why) = lacking(outcome, kind.unwrap_or(Kind::Image), verdict);
            let why = format!("needs {}; {}", outcome.need, common(verdict, &why));
            Cause::at(class, format!("{}/{}", rule.id, outcome.id), &why)
        })
        .collect()
}

fn checks_of(action: &Action) -> &[Check] {
    match action {
        Action::Require { checks, .. } => checks,
        Action::Accept { .. } | Action::Reject { .. } => &[],
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Signed,
    Image,
    AnyOf,
}

fn kind_of(check: &Check) -> Kind {
    match check.kind {
        CheckKind::Signed(_) => Kind::Signed,
        CheckKind::Image(_) => Kind::Image,
        CheckKind::AnyOf(_) => Kind::AnyOf,
    }
}

/// What a failed check lacks.
fn lacking(outcome: &CheckOutcome, kind: Kind, verdict: &Verdict) -> (Class, String) {
    match kind {
        Kind::AnyOf => (Class::NoBranch, branches(outcome)),
        Kind::Image => (Class::Image, sentences(&outcome.findings)),
        Kind::Signed if !outcome.waived_by.is_empty() => {
            (Class::Unsigned, sentences(&outcome.findings))
        }
        Kind::Signed if !outcome.counted.is_empty() => {
            let signers: Vec<_> = outcome.counted.iter().map(|c| c.signer.clone()).collect();
            let why = format!("only {} counts", distinct(signers, ", "));
            (Class::TooFew, why)
        }
        Kind::Signed => match distinct(misses(outcome, verdict), "; ").as_str() {
            "" => (Class::Unsigned, "there is no signature".to_owned()),
            why => (Class::NotCounting, format!("there are signatures, but {why}")),
        },
    }
}

/// Why the signatures that are there do not count.
fn misses(outcome: &CheckOutcome, verdict: &Verdict) -> Vec<String> {
    let ignored = outcome.ignored.iter().map(|ignored| common(verdict, &ignored.reason));
    let rejected = verdict.rejections.iter().filter_map(|rejection| match &rejection.reason {
        Reason::Foreign(_) => None,
        // what differs from signature to signature would part the images
        Reason::UnknownKey(_) => Some(Reason::UnknownKey(None).to_string()),
        reason @ (Reason::BadSignature
        | Reason::WrongSubject(_)
        | Reason::Malformed(_)
        | Reason::Corrupt(_)
        | Reason::Unsupported(_)
        | Reason::Unproven(_)
        | Reason::Unfit(_)
        | Reason::LimitExceeded(_)
        | Reason::Unavailable(_)) => Some(common(verdict, &reason.to_string())),
    });
    ignored.chain(rejected).collect()
}

fn branches(outcome: &CheckOutcome) -> String {
    let failed = outcome.branches.iter().enumerate().filter_map(|(at, checks)| {
        let check = checks.iter().find(|check| !check.held)?;
        Some(format!("branch {} lacks {} ({})", at + 1, check.id, check.need))
    });
    distinct(failed.collect(), "; ")
}

fn sentences(findings: &[String]) -> String {
    distinct(findings.to_vec(), "; ")
}

/// The first few, each once, sorted so that their order says nothing.
fn distinct(mut texts: Vec<String>, between: &str) -> String {
    texts.sort();
    texts.dedup();
    let more = texts.len().saturating_sub(SENTENCES);
    texts.truncate(SENTENCES);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts.join(between)
}

/// `text` without what is this image's alone.
fn common(verdict: &Verdict, text: &str) -> String {
    let reference = verdict.reference.to_string();
    let repository = verdict.reference.repository().to_string();
    without(text, &[(&reference, "the image"), (&repository, "the repository")])
}

/// `text` with words replaced and every digest shortened to its algorithm.
fn without(text: &str, words: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (word, with) in words {
        text = text.replace(word, with);
    }
    for algorithm in ["sha256:", "sha512:"] {
        let mut parts = text.split(algorithm);
        let mut kept = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            let hex = part.len() - rest.len();
            kept.push_str(algorithm);
            kept.push_str(if hex >= 64 { "…" } else { part.get(..hex).unwrap_or_default() });
            kept.push_str(rest);
        }
        text = kept;
    }
    text
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_images_alone_is_left_out() {
        let hex = "a".repeat(64);
        let text = format!("a.b/c:1: sha256:{hex}: size 5, not sha256:12, sha512:{hex}{hex}");
        assert_eq!(
            without(&text, &[("a.b/c:1", "the image")]),
            "the image: sha256:…: size 5, not sha256:12, sha512:…"
        );
    }

    #[test]
    fn few_sentences_are_kept_in_any_order() {
        let texts = |order: &[&str]| order.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let some = distinct(texts(&["d", "b", "a", "c", "b"]), ", ");
        assert_eq!(some, "a, b, c, and 1 more");
        assert_eq!(clip(&"ü".repeat(500)).chars().count(), LONGEST + 1);
    }

    /// In the order in which a report has them.
    const ALL: [Class; 18] = [
        Class::Integrity,
        Class::Revoked,
        Class::Rejected,
        Class::NoRule,
        Class::PolicyExpired,
        Class::PolicyNotYetValid,
        Class::Unsigned,
        Class::NotCounting,
        Class::TooFew,
        Class::Image,
        Class::NoBranch,
        Class::Absent,
        Class::Unauthorized,
        Class::Unreachable,
        Class::Deadline,
        Class::Incomplete,
        Class::Name,
        Class::Failed,
    ];

    #[test]
    fn words_json_and_the_page_agree() {
        let page = include_str!("../../docs/audit.md");
        for (at, class) in ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at, "one of them is missing here");
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            let row = page
                .lines()
                .find(|line| line.starts_with("| `") && line.contains(&format!("`{class}`")));
            assert!(row.is_some(), "`{class}` stands on no row of docs/audit.md");
        }
        assert_eq!(ALL.len() - 1, Class::Failed as usize);
    }
}
