//! A verdict for people: the decision first, then why.

use crate::evidence::Rejection;
use crate::policy::{CheckOutcome, Decision, RuleOutcome, Verdict};

use super::escape::escaped;

/// Lines shown of one list; the rest are counted, and `--output json` has all.
const SHOWN: usize = 10;

/// How a text is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// With ANSI colours, for a terminal.
    pub colour: bool,
}

/// What a word's colour says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ink {
    Good,
    Bad,
    Doubt,
    Faint,
}

impl Style {
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Doubt => "33",
            Ink::Faint => "2",
        };
        match self.colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    fn mark(self, held: bool) -> String {
        match held {
            true => self.paint(Ink::Good, "✓"),
            false => self.paint(Ink::Bad, "✗"),
        }
    }
}

/// The verdict as text, several lines, ending with a line feed.
pub fn text(verdict: &Verdict, style: Style) -> String {
    let mut page = Page { style, lines: Vec::new() };
    page.head(verdict);
    for rule in verdict.rule.iter() {
        page.rule("rule", rule);
    }
    for rule in &verdict.baseline {
        page.rule("baseline", rule);
    }
    page.list("audit let through", verdict.would_deny.iter());
    page.list("exceptions used", verdict.exceptions_used.iter());
    page.rejections(&verdict.rejections);
    page.tail(verdict);
    page.lines.push(String::new());
    page.lines.join("\n")
}

struct Page {
    style: Style,
    lines: Vec<String>,
}

impl Page {
    fn line(&mut self, depth: usize, text: impl AsRef<str>) {
        self.lines.push(format!("{}{}", "  ".repeat(depth), text.as_ref()));
    }

    fn head(&mut self, verdict: &Verdict) {
        let word = match verdict.decision {
            Decision::Allow => self.style.paint(Ink::Good, "allow"),
            Decision::Deny => {
                self.style.paint(Ink::Bad, &format!("deny: {}", verdict.row.as_str()))
            }
            Decision::Undecided => self.style.paint(Ink::Doubt, "undecided"),
        };
        self.line(0, format!("{word}  {}", escaped(&verdict.reference.to_string())));
        self.line(1, escaped(&verdict.summary));
        self.bounded(1, &verdict.findings, |finding| escaped(finding));
    }

    fn rule(&mut self, kind: &str, rule: &RuleOutcome) {
        let mark = self.style.mark(rule.held);
        let (id, scope) = (escaped(&rule.id), escaped(&rule.scope));
        self.line(0, format!("{mark} {kind} {id}  ({scope})"));
        if let Some(until) = rule.audit_until {
            self.line(1, format!("audit: reports and does not block until {until}"));
        }
        if let Some(reason) = &rule.reason {
            self.line(1, escaped(reason));
        }
        self.checks(1, &rule.checks);
    }

    fn checks(&mut self, depth: usize, checks: &[CheckOutcome]) {
        for check in checks {
            self.check(depth, check);
        }
    }

    fn check(&mut self, depth: usize, check: &CheckOutcome) {
        let mark = self.style.mark(check.held);
        let (id, need) = (escaped(&check.id), escaped(&check.need));
        self.line(depth, format!("{mark} {id}: {need}"));
        if check.held && !check.waived_by.is_empty() {
            let by = escaped(&check.waived_by.join(", "));
            self.line(depth + 1, format!("waived by {by}"));
        }
        self.bounded(depth + 1, &check.findings, |finding| escaped(finding));
        self.bounded(depth + 1, &check.counted, |counted| {
            let (signer, format) = (escaped(&counted.signer), counted.format.as_str());
            format!("counts: {signer}, {format} {} on {}", escaped(&counted.item), counted.node)
        });
        let style = self.style;
        self.bounded(depth + 1, &check.ignored, |ignored| {
            let text = format!("ignored: {}: {}", escaped(&ignored.item), escaped(&ignored.reason));
            style.paint(Ink::Faint, &text)
        });
        for (at, branch) in check.branches.iter().enumerate() {
            self.line(depth + 1, format!("branch {}", at + 1));
            self.checks(depth + 2, branch);
        }
    }

    fn list<'a>(&mut self, title: &str, items: impl Iterator<Item = &'a String>) {
        let items: Vec<_> = items.map(|item| escaped(item)).collect();
        if !items.is_empty() {
            self.line(0, format!("{title}: {}", items.join(", ")));
        }
    }

    /// They come sorted by how much they say.
    fn rejections(&mut self, rejections: &[Rejection]) {
        if rejections.is_empty() {
            return;
        }
        self.line(0, "candidates that prove nothing:");
        self.bounded(1, rejections, |rejection| {
            format!("{}: {}", escaped(&rejection.item), escaped(&rejection.reason.to_string()))
        });
    }

    fn tail(&mut self, verdict: &Verdict) {
        let (name, digest) = (escaped(&verdict.policy_name), &verdict.policy_digest);
        let serial = verdict.serial.map(|serial| format!(" #{serial}")).unwrap_or_default();
        let facts = format!(
            "policy {name}{serial} ({digest}), depth {}, at {}",
            verdict.depth.as_str(),
            verdict.now
        );
        let facts = self.style.paint(Ink::Faint, &facts);
        self.line(0, facts);
        match verdict.decision {
            Decision::Allow => {
                let pinned = verdict.reference.by_digest(verdict.digest.clone());
                self.line(0, format!("run {}", escaped(&pinned.to_string())));
            }
            Decision::Deny | Decision::Undecided => {}
        }
    }

    /// The first lines of a list, and how many there are besides.
    fn bounded<T>(&mut self, depth: usize, items: &[T], show: impl Fn(&T) -> String) {
        for item in items.iter().take(SHOWN) {
            self.line(depth, show(item));
        }
        let more = items.len().saturating_sub(SHOWN);
        if more > 0 {
            self.line(depth, format!("and {more} more; `--output json` shows all"));
        }
    }
}
