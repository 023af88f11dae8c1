//! What a page of meta discovery says (appc spec 0.8.11, discovery.md): the
//! `meta` elements of its head.

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::image::aci::AciName;

/// An image and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Address of the ACI.
    pub image: String,
    /// Address of its detached signature.
    pub signature: String,
}

/// What a page offers for one name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Templates of addresses, as written.
    pub(super) templates: Vec<String>,
    /// Addresses of public keys, as written.
    pub(super) keys: Vec<String>,
}

/// Reads a page. Of what it says that counts which is for `name`: its prefix
/// is the name or a whole part of it.
pub(super) fn read(page: &[u8], name: &str) -> Page {
    let text = String::from_utf8_lossy(page);
    // as browsers do: nothing in a script, a style or a comment is an element
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut found = Page::default();
    for token in Tokenizer::new_with_emitter(text.as_ref(), emitter) {
        let Ok(token) = token;
        let tag = match token {
            Token::StartTag(tag) if *tag.name == b"body"[..] => break,
            Token::EndTag(tag) if *tag.name == b"head"[..] => break,
            Token::StartTag(tag) if *tag.name == b"meta"[..] => tag,
            _ => continue,
        };
        let attribute = |name: &[u8]| {
            let value = tag.attributes.iter().find(|(key, _)| key.as_slice() == name);
            value.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let (Some(kind), Some(content)) = (attribute(b"name"), attribute(b"content")) else {
            continue;
        };
        let mut words = content.split_whitespace().map(str::to_owned);
        let (Some(prefix), Some(address), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if !is_prefix(&prefix, name) {
            continue;
        }
        match kind.as_str() {
            "ac-discovery" => found.templates.push(address),
            "ac-discovery-pubkeys" => found.keys.push(address),
            _ => {}
        }
    }
    found
}

/// Whether `prefix` is `name` or ends where a part of it ends.
fn is_prefix(prefix: &str, name: &str) -> bool {
    let rest = name.strip_prefix(prefix);
    !prefix.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The addresses that a template has for an image. `None` where it asks for a
/// label that nobody gave, or one that cannot stand in an address.
///
/// The version is `latest` and the platform this machine's where the name
/// does not say them.
pub(super) fn endpoint(template: &str, name: &AciName) -> Option<Endpoint> {
    let render = |ext: &str| {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (label, after) = after.split_once('}')?;
            out.push_str(before);
            out.push_str(&value(label, name, ext).filter(|value| is_plain(value))?);
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    };
    let (image, signature) = (render("aci")?, render("aci.asc")?);
    // one address for both is that of neither
    (image != signature).then_some(Endpoint { image, signature })
}

fn value(label: &str, name: &AciName, ext: &str) -> Option<String> {
    let own = name.labels().get(label).map(String::as_str);
    let value = match (label, own) {
        ("name", _) => name.name(),
        ("ext", _) => ext,
        (_, Some(own)) => own,
        ("version", None) => "latest",
        ("os", None) => std::env::consts::OS,
        ("arch", None) => match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "i386",
            "arm" => "armv7l",
            "powerpc64" => "ppc64le",
            arch => arch,
        },
        (_, None) => return None,
    };
    Some(value.to_owned())
}

/// What means only itself in every part of an address.
fn is_plain(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/');
    value.bytes().all(plain) && !value.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AciName {
        text.parse().unwrap()
    }

    #[test]
    fn a_page_is_read_as_a_browser_reads_it() {
        let page = br#"<!DOCTYPE html><HTML><head>
            <!-- <meta name="ac-discovery" content="example.com https://comment/{name}"> -->
            <script>"<meta name='ac-discovery' content='example.com https://script/{name}'>"</script>
            <META content="example.com/foo
                https://one/{name}-{version}.{ext}" name=ac-discovery />
            <meta name="ac-discovery" content="example.com/fo https://two/{name}.{ext}">
            <meta name="ac-discovery" content="example.com/foo/bar https://three/{name}.{ext}">
            <meta name="ac-discovery" content="example.com https://four/{name}.{ext} and more">
            <meta name="ac-discovery" content="https://five/{name}.{ext}">
            <meta name="ac-discovery-pubkeys" content="example.com https://keys/a.asc">
            </head><body><meta name="ac-discovery" content="example.com https://body/{name}.{ext}">"#;
        let found = read(page, "example.com/foo");
        assert_eq!(found.templates, ["https://one/{name}-{version}.{ext}"]);
        assert_eq!(found.keys, ["https://keys/a.asc"]);
        assert_eq!(read(b"\xff<meta", "example.com"), Page::default());
    }

    #[test]
    fn a_template_is_filled_with_labels_that_are_given() {
        let app = name("example.com/app:1.0,os=linux,arch=amd64");
        let got = endpoint("https://x/{os}/{arch}/{name}-{version}.{ext}", &app).unwrap();
        assert_eq!(got.image, "https://x/linux/amd64/example.com/app-1.0.aci");
        assert_eq!(got.signature, "https://x/linux/amd64/example.com/app-1.0.aci.asc");
        let latest = endpoint("https://x/{version}.{ext}", &name("example.com/app")).unwrap();
        assert_eq!(latest.image, "https://x/latest.aci");
        for (template, app) in [
            ("https://x/{name}", "a"),
            ("https://x/{channel}.{ext}", "a"),
            ("https://x/{version.{ext}", "a"),
            ("https://x/{version}.{ext}", "a:../../b"),
            ("https://x/{version}.{ext}", "a:1?b"),
        ] {
            assert_eq!(endpoint(template, &name(app)), None, "{template} {app}");
        }
    }
}
