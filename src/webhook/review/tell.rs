//! The words of an answer: messages, warnings, and why an image is denied.

use crate::policy::{CheckOutcome, Decision, Verdict};
use crate::report::{escaped, visible};

use super::Told;

/// Longest message. An Event takes 1024 bytes, and the API server and the
/// controllers put their own words before it.
const MESSAGE: usize = 880;
/// Longest line about one image.
const LINE: usize = 600;
/// Longest warning, and all of them: the API server cuts what is longer.
const WARNING: usize = 256;
const WARNINGS: usize = 4096;
/// Failing checks named with what they ask for.
const CHECKS: usize = 4;

/// Why a verdict is no allow: its sentence, and what each failing check asks
/// for and found.
pub(super) fn why(verdict: &Verdict) -> String {
    let rules = verdict.rule.iter().chain(&verdict.baseline).filter(|rule| !rule.held);
    let failing = |rule: &'_ crate::policy::RuleOutcome| -> Vec<String> {
        let checks = rule.checks.iter().filter(|check| !check.held);
        checks.map(|check| format!("{}/{}", rule.id, check_of(check))).collect()
    };
    let checks: Vec<String> = rules.flat_map(failing).collect();
    let findings: Vec<String> = verdict.findings.iter().take(CHECKS).map(|f| escaped(f)).collect();
    match (checks.is_empty(), findings.is_empty()) {
        (true, true) => verdict.summary.clone(),
        (true, false) => format!("{}: {}", verdict.summary, findings.join("; ")),
        (false, _) => format!("these checks do not hold: {}", listed(&checks)),
    }
}

/// The first of a list, and how many there are besides.
fn listed(items: &[String]) -> String {
    let shown = items.iter().take(CHECKS).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(CHECKS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// "signed (1 of ana; found: key … is not trusted)".
fn check_of(check: &CheckOutcome) -> String {
    let found = check.findings.first().map(String::as_str);
    let ignored = check.ignored.first().map(|ignored| ignored.reason.as_str());
    let found = found.or(ignored).unwrap_or("nothing that counts");
    format!("{} ({}; found: {})", check.id, escaped(&check.need), escaped(found))
}

/// "container `app`: registry.example/app:v1 denied: …".
pub(super) fn line(told: &Told) -> String {
    let word = match told.decision {
        Decision::Allow => "allowed",
        Decision::Deny => "denied",
        Decision::Undecided => "undecided",
    };
    let why = told.why.as_deref().unwrap_or_default();
    let image = match told.image.is_empty() {
        true => "``".to_owned(),
        false => visible(&told.image),
    };
    cut(&format!("{}: {image} {word}: {why}", told.place), LINE)
}

/// The message of a denial: one line for each image that is not admitted, as
/// many as there is room for.
pub(super) fn message<'a>(refused: impl Iterator<Item = &'a Told>) -> String {
    let lines: Vec<String> = refused.map(line).collect();
    let mut text = "ocisign: ".to_owned();
    for (index, line) in lines.iter().enumerate() {
        let room = MESSAGE.saturating_sub(text.len());
        if index > 0 && line.len() + 1 > room {
            text.push_str(&format!("\nand {} more", lines.len() - index));
            break;
        }
        if index > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
    text
}

/// Warnings within the bounds of the API server, in plain ASCII: they become
/// HTTP headers.
pub(super) fn warnings(texts: impl Iterator<Item = String>) -> Vec<String> {
    let all: Vec<String> = texts.map(|text| cut(&plain(&text), WARNING)).collect();
    let mut room = WARNINGS - WARNING;
    let fits = |text: &&String| {
        room = room.saturating_sub(text.len());
        room > 0
    };
    let mut shown: Vec<String> = all.iter().take_while(fits).cloned().collect();
    if shown.len() < all.len() {
        shown.push(format!("ocisign: and {} more warnings", all.len() - shown.len()));
    }
    shown
}

fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => safe.push(c),
            '\n' => safe.push_str("; "),
            c => safe.extend(c.escape_unicode()),
        }
    }
    safe
}

/// At most `most` bytes of a text.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = most.saturating_sub(3);
    let fits = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|at| *at <= end);
    format!("{}...", text.get(..fits.last().unwrap_or(0)).unwrap_or_default())
}
