//! Names of objects, before they stand in a URL.

/// Longest name of an object (Kubernetes, "Object Names and IDs").
const LONGEST: usize = 253;

/// Whether an object can have this name: a subdomain of RFC 1123. An object
/// review may say anything, and what is no name would be another path.
pub(in crate::webhook) fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|b| inner(*b))
            && bytes.last().is_some_and(|b| inner(*b))
            && bytes.iter().all(|b| inner(*b) || *b == b'-')
    };
    text.len() <= LONGEST && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_url() {
        for name in ["regcred", "reg-cred.v2", "0", &"a".repeat(253)] {
            assert!(is_name(name), "{name}");
        }
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            "a?b",
            "a#b",
            "a%2fb",
            "A",
            "ä",
            "-a",
            "a-",
            "a..b",
            "a.",
            "a b",
            "a\n",
            &"a".repeat(254),
        ] {
            assert!(!is_name(text), "{text}");
        }
    }
}
