//! The answer to a review: admission, message, warnings, annotations, patch.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::gate::{Answer, Undecided};
use crate::policy::Decision;

use super::parse::API_VERSION;
use super::{Change, Plan, Review, Told, Use, tell};

/// Longest audit annotation of one image, and of all of them together. The
/// API server sets no bound, but cuts audit events at 100 KiB where it is
/// told to.
const ANNOTATION: usize = 1024;
const ANNOTATIONS: usize = 80 << 10;

/// What the gate said of one use.
#[derive(Debug, Clone)]
pub enum Judged {
    /// It has an answer.
    Answered(Answer),
    /// It has none.
    Undecided(Undecided),
    /// It was not asked: the text names no image.
    NotAsked,
}

/// How answers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Everything is let through, and warnings say what would not be.
    pub audit: bool,
    /// A new image without a digest is denied by `/validate`.
    pub pinned_only: bool,
}

/// What became of a request. What is audited was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Every image may run, or there is none.
    Allowed,
    /// An image may not run, or the object cannot be read.
    Denied,
    /// An image could not be judged, which denies.
    Undecided,
    /// It would be denied, and audit let it through.
    AuditedDeny,
    /// It would be undecided, and audit let it through.
    AuditedUndecided,
}

impl Outcome {
    /// The word for it in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allow",
            Self::Denied => "deny",
            Self::Undecided => "undecided",
            Self::AuditedDeny => "audit-deny",
            Self::AuditedUndecided => "audit-undecided",
        }
    }

    fn new(decision: Decision, options: &Options) -> Self {
        match (decision, options.audit) {
            (Decision::Allow, _) => Self::Allowed,
            (Decision::Deny, false) => Self::Denied,
            (Decision::Undecided, false) => Self::Undecided,
            (Decision::Deny, true) => Self::AuditedDeny,
            (Decision::Undecided, true) => Self::AuditedUndecided,
        }
    }

    /// Whether the request goes through.
    pub fn lets_through(self) -> bool {
        match self {
            Self::Allowed | Self::AuditedDeny | Self::AuditedUndecided => true,
            Self::Denied | Self::Undecided => false,
        }
    }
}

/// An answer, ready to be sent.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    outcome: Outcome,
    message: Option<String>,
    images: Vec<Told>,
    patched: usize,
    body: Vec<u8>,
}

impl Response {
    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Why it is no allow; also where audit let it through.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// What became of each image, in the order of the plan.
    pub fn images(&self) -> &[Told] {
        &self.images
    }

    /// How many images the patch pins.
    pub fn patched(&self) -> usize {
        self.patched
    }

    /// The AdmissionReview, as JSON.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The AdmissionReview, as JSON.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// Why a request is refused before, or without, a look at its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request or its object cannot be read.
    Unreadable(String),
    /// Nothing was decided: too many requests, no time left.
    Undecided(String),
}

impl From<super::Unreadable> for Refusal {
    fn from(unreadable: super::Unreadable) -> Self {
        Self::Unreadable(unreadable.reason)
    }
}

/// The answer of `/validate`.
pub fn validate(review: &Review, plan: &Plan, judged: &[Judged], options: &Options) -> Response {
    let images = told(plan, judged, options);
    let mut warnings = let_through(&images);
    warnings.extend(plan.uses.iter().zip(&images).filter_map(unpinned));
    Draft { uid: &review.uid, images, warnings, patch: Vec::new(), kept: plan.kept.len() }
        .finish(options)
}

/// The answer of `/mutate`: the same, and a patch that pins what was judged.
pub fn mutate(review: &Review, plan: &Plan, judged: &[Judged], options: &Options) -> Response {
    // what names no digest gets one here
    let options = Options { pinned_only: false, ..*options };
    let images = told(plan, judged, &options);
    let warnings = let_through(&images);
    let patch = patch(plan, &images, &options);
    Draft { uid: &review.uid, images, warnings, patch, kept: plan.kept.len() }.finish(&options)
}

/// The answer to a request none of whose images was judged. In audit mode it
/// is let through with a warning, as a denied image is: audit must not stop
/// what it only watches.
pub fn refuse(uid: &str, refusal: &Refusal, options: &Options) -> Response {
    let (decision, message) = match refusal {
        Refusal::Unreadable(why) => (Decision::Deny, format!("ocisign: denied: {why}")),
        Refusal::Undecided(why) => (Decision::Undecided, format!("ocisign: undecided: {why}")),
    };
    let message = tell::cut(&message, ANNOTATION);
    let draft = Draft { uid, images: Vec::new(), warnings: Vec::new(), patch: Vec::new(), kept: 0 };
    draft.send(Outcome::new(decision, options), Some(message))
}

fn told(plan: &Plan, judged: &[Judged], options: &Options) -> Vec<Told> {
    let asked = plan.uses.iter().enumerate();
    let judged = |index: usize| judged.get(index).unwrap_or(&Judged::NotAsked);
    asked.map(|(index, found)| Told::of(found, judged(index), options)).collect()
}

/// The decision on all images: the worst of them. A denial outranks what is
/// undecided, because trying again does not help.
fn decision(images: &[Told]) -> Decision {
    let any = |decision| images.iter().any(|told| told.decision == decision);
    match (any(Decision::Deny), any(Decision::Undecided)) {
        (true, _) => Decision::Deny,
        (false, true) => Decision::Undecided,
        (false, false) => Decision::Allow,
    }
}

/// Warnings of what the audit of a rule let through.
fn let_through(images: &[Told]) -> Vec<String> {
    let audited = images.iter().filter(|told| !told.would_deny.is_empty());
    audited
        .map(|told| {
            let checks = told.would_deny.join(", ");
            format!("ocisign: {}: audit lets through: {checks}: {}", told.place, told.image)
        })
        .collect()
}

/// Warns of an image that may run and whose tag can move before it does.
fn unpinned((found, told): (&Use, &Told)) -> Option<String> {
    let pinned = found.reference.as_ref().is_ok_and(|reference| reference.digest().is_some());
    let digest = told.digest.as_ref().filter(|_| told.decision == Decision::Allow && !pinned)?;
    Some(format!("ocisign: {}: pin it to {digest}: its tag can move: {}", told.place, told.image))
}

/// JSON Patch (RFC 6902) that adds the judged digest to each image without
/// one.
///
/// The name is written out in full, so that no runtime completes a short one
/// in its own way. An image that the old object had already is left alone:
/// the template of a Job and most of a Pod are immutable, and to rewrite them
/// would fail an update that is about something else.
fn patch(plan: &Plan, images: &[Told], options: &Options) -> Vec<Value> {
    if options.audit || decision(images) != Decision::Allow {
        return Vec::new();
    }
    let mut patch = Vec::new();
    for (found, told) in plan.uses.iter().zip(images) {
        let (Ok(reference), Some(digest)) = (&found.reference, &told.digest) else { continue };
        if reference.digest().is_some() || found.change == Change::Unchanged {
            continue;
        }
        let pinned = reference.pinned(digest.clone()).to_string();
        // fails where another webhook changed the text after it was judged
        patch.push(json!({"op": "test", "path": found.pointer, "value": found.text}));
        patch.push(json!({"op": "replace", "path": found.pointer, "value": pinned}));
    }
    patch
}

/// An answer before it is put into bytes.
struct Draft<'a> {
    uid: &'a str,
    images: Vec<Told>,
    warnings: Vec<String>,
    patch: Vec<Value>,
    kept: usize,
}

impl Draft<'_> {
    fn finish(self, options: &Options) -> Response {
        let decision = decision(&self.images);
        let refused = self.images.iter().filter(|told| told.decision != Decision::Allow);
        let message = match decision {
            Decision::Allow => None,
            Decision::Deny | Decision::Undecided => Some(tell::message(refused)),
        };
        self.send(Outcome::new(decision, options), message)
    }

    fn send(self, outcome: Outcome, message: Option<String>) -> Response {
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": "AdmissionReview",
            "response": self.response(outcome, message.as_deref()),
        });
        Response {
            outcome,
            message,
            patched: self.patch.len() / 2,
            images: self.images,
            body: body.to_string().into_bytes(),
        }
    }

    fn response(&self, outcome: Outcome, message: Option<&str>) -> Value {
        let allowed = outcome.lets_through();
        let mut response = Map::from_iter([
            ("uid".to_owned(), json!(self.uid)),
            ("allowed".to_owned(), json!(allowed)),
            ("auditAnnotations".to_owned(), json!(self.annotations(outcome, message))),
        ]);
        let warnings = self.warnings(message.filter(|_| allowed));
        if !warnings.is_empty() {
            response.insert("warnings".to_owned(), json!(warnings));
        }
        if !allowed {
            let (failure, reason) = ("Failure", "Forbidden");
            let status =
                json!({"status": failure, "reason": reason, "code": 403, "message": message});
            response.insert("status".to_owned(), status);
        }
        if !self.patch.is_empty() {
            let patch = STANDARD.encode(json!(self.patch).to_string());
            response.insert("patchType".to_owned(), json!("JSONPatch"));
            response.insert("patch".to_owned(), json!(patch));
        }
        Value::Object(response)
    }

    /// What audit let through comes first, a line for each image.
    fn warnings(&self, would: Option<&str>) -> Vec<String> {
        let refused = || self.images.iter().filter(|told| told.decision != Decision::Allow);
        let lines = match would {
            None => Vec::new(),
            Some(message) if self.images.is_empty() => vec![message.to_owned()],
            Some(_) => refused().map(tell::line).collect(),
        };
        let would = |line: String| {
            let line = line.strip_prefix("ocisign: ").unwrap_or(&line);
            format!("ocisign: audit, would not be admitted: {line}")
        };
        let lines = lines.into_iter().map(would);
        tell::warnings(lines.chain(self.warnings.iter().cloned()))
    }

    /// One for each image, as JSON, and the outcome. The API server puts the
    /// name of the webhook before each key.
    fn annotations(&self, outcome: Outcome, message: Option<&str>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([("outcome".to_owned(), outcome.as_str().to_owned())]);
        if self.images.is_empty() {
            all.extend(message.map(|message| ("message".to_owned(), message.to_owned())));
        }
        if self.kept > 0 {
            all.insert("kept".to_owned(), self.kept.to_string());
        }
        let most = ANNOTATION.min(ANNOTATIONS / self.images.len().max(1));
        for (index, told) in self.images.iter().enumerate() {
            all.insert(format!("image-{index}"), told.annotation(most));
        }
        all
    }
}
