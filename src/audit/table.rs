//! The summary for people: what would be denied, why, who uses it, what to do.

use super::{Cause, Group, Header, Input, Tally, Totals, Unlisted, Users};
use crate::report::{Ink, Style, escaped};

/// Causes shown of each answer.
const CAUSES: usize = 30;

/// The summary as text, ending with a line feed.
pub fn table(header: &Header, tally: &Tally, style: Style) -> String {
    let mut page = Page { style, lines: Vec::new() };
    page.line(0, &headline(header, tally));
    page.groups("deny", Ink::Bad, tally.totals().deny, &tally.denied());
    page.groups("undecided", Ink::Doubt, tally.totals().undecided, &tally.undecided());
    page.unlisted(tally.unlisted());
    let audited = tally.let_through();
    page.groups("allow only because of audit", Ink::Doubt, tally.totals().would_deny, &audited);
    page.foot(header);
    page.lines.push(String::new());
    page.lines.join("\n")
}

/// The answer to the question, in one sentence.
pub fn headline(header: &Header, tally: &Tally) -> String {
    let Totals { images, allow, deny, undecided, would_deny } = tally.totals();
    let policy = escaped(&header.policy);
    let mut text = format!("policy `{policy}` denies {deny} of {images} images and allows {allow}");
    if would_deny > 0 {
        text.push_str(&format!(", {would_deny} of them only because of audit"));
    }
    if undecided > 0 {
        text.push_str(&format!("; {undecided} could not be decided on"));
    }
    if !tally.unlisted().is_empty() {
        text.push_str("; not everything could be looked at");
    }
    text
}

struct Page {
    style: Style,
    lines: Vec<String>,
}

impl Page {
    fn line(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(depth)));
    }

    fn groups(&mut self, word: &str, ink: Ink, images: u64, groups: &[(&Cause, &Group)]) {
        if groups.is_empty() {
            return;
        }
        self.line(0, "");
        let word = self.style.paint(ink, word);
        self.line(0, &format!("{word}  {}", count(images, "image")));
        for (cause, group) in groups.iter().take(CAUSES) {
            self.group(cause, group);
        }
        let more = groups.len().saturating_sub(CAUSES);
        if more > 0 {
            self.line(1, &format!("and {} more; `--output json` has all", count_of(more, "cause")));
        }
    }

    fn group(&mut self, cause: &Cause, group: &Group) {
        let mut head = format!("{}: {}", escaped(&cause.title()), count(group.images, "image"));
        if group.users > 0 {
            head.push_str(&format!(", {}", count(group.users, "user")));
        }
        self.line(1, &head);
        self.line(2, &escaped(&cause.why));
        let advice = self.style.paint(Ink::Faint, &format!("to do: {}", cause.class.advice()));
        self.line(2, &advice);
        for (image, shown) in &group.shown {
            let line = shown.line.map(|line| format!("  line {line}")).unwrap_or_default();
            self.line(3, &format!("{}{line}{}", escaped(image), used_by(&shown.users)));
        }
        let shown = u64::try_from(group.shown.len()).unwrap_or(u64::MAX);
        let more = group.images.saturating_sub(shown);
        if more > 0 {
            self.line(3, &format!("and {more} more; `--output json` has all"));
        }
    }

    fn unlisted(&mut self, unlisted: &[Unlisted]) {
        if unlisted.is_empty() {
            return;
        }
        self.line(0, "");
        let word = self.style.paint(Ink::Doubt, "not looked at");
        self.line(0, &format!("{word}  so nobody knows what would be denied there"));
        for one in unlisted.iter().take(CAUSES) {
            self.line(1, &format!("{}: {}", escaped(&one.what), escaped(&one.why)));
        }
        let more = unlisted.len().saturating_sub(CAUSES);
        if more > 0 {
            self.line(1, &format!("and {more} more"));
        }
    }

    fn foot(&mut self, header: &Header) {
        let (name, digest) = (escaped(&header.policy), &header.policy_digest);
        let serial = header.serial.map(|serial| format!(" #{serial}")).unwrap_or_default();
        let shard = header.shard.map(|shard| format!(", shard {shard}")).unwrap_or_default();
        let input = match &header.input {
            Input::List { file: Some(file) } => format!("the list {}", escaped(file)),
            Input::List { file: None } => "a list".to_owned(),
            Input::Cluster { namespaces } if namespaces.is_empty() => "the cluster".to_owned(),
            Input::Cluster { namespaces } => {
                format!("the namespaces {}", escaped(&namespaces.join(", ")))
            }
        };
        let facts = format!(
            "policy {name}{serial} ({digest}), depth {}, {input}{shard}, from {}",
            header.depth.as_str(),
            header.started
        );
        self.line(0, "");
        let facts = self.style.paint(Ink::Faint, &facts);
        self.line(0, &facts);
    }
}

/// `  used by Deployment shop/web, Job shop/clean and 3 more`.
fn used_by(users: &Users) -> String {
    if users.is_empty() {
        return String::new();
    }
    let named: Vec<String> = users.named.iter().map(ToString::to_string).collect();
    let more = match (named.is_empty(), users.more) {
        (_, 0) => String::new(),
        (true, more) => count(more, "object"),
        (false, more) => format!(" and {more} more"),
    };
    format!("  used by {}{more}", named.join(", "))
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn count_of(number: usize, what: &str) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX), what)
}
