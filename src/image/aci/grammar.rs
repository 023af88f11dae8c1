//! Grammars of appc: identifiers, names, versions (types.md).

/// Whether a text is an AC Identifier: runs of lower-case letters and digits
/// with one of `-._~/` between them.
pub fn is_identifier(text: &str) -> bool {
    is_runs(text, b"-._~/")
}

/// Whether a text is an AC Name: runs of lower-case letters and digits with
/// one `-` between them.
pub(super) fn is_name(text: &str) -> bool {
    is_runs(text, b"-")
}

fn is_runs(text: &str, between: &[u8]) -> bool {
    let run = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.as_bytes().split(|b| between.contains(b)).all(run)
}

/// Whether a text is a version of Semantic Versioning 2.0.0, and not 0.0.0.
pub(super) fn is_version(text: &str) -> bool {
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (text, None),
    };
    let (core, pre) = match rest.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (rest, None),
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| {
        !part.is_empty()
            && digits(part)
            && (part == "0" || !part.starts_with('0'))
            && part.parse::<u64>().is_ok()
    };
    let ordered = |part: &str| word(part) && (!digits(part) || number(part));
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|part| number(part))
        && (numbers.iter().any(|part| *part != "0") || pre.is_some())
        && pre.is_none_or(|pre| pre.split('.').all(ordered))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// Whether a text names an environment variable (aci.md, `environment`).
pub(super) fn is_variable(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// What `os` and `arch` may be (labels.go, `ValidOSArch`).
pub(super) fn is_platform(os: &str, arch: Option<&str>) -> bool {
    let arches: &[&str] = match os {
        "linux" => &[
            "amd64",
            "i386",
            "aarch64",
            "aarch64_be",
            "armv6l",
            "armv7l",
            "armv7b",
            "ppc64",
            "ppc64le",
            "s390x",
        ],
        "freebsd" => &["amd64", "i386", "arm"],
        "darwin" => &["x86_64", "i386"],
        _ => return false,
    };
    arch.is_none_or(|arch| arches.contains(&arch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_names_are_runs_of_lower_case() {
        for good in ["a", "example.com/app", "a~b", "1.2-3_4", "a/b/c"] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in ["", "A", "a..b", "-a", "a-", "a//b", "/a", "a/", "a b", "a:1", "é"] {
            assert!(!is_identifier(bad), "{bad}");
        }
        assert!(is_name("http-1") && !is_name("a.b") && !is_name("a/b") && !is_name("a--b"));
    }

    #[test]
    fn versions_are_those_of_semver() {
        for good in ["0.8.11", "1.0.0-rc.1+build.5", "0.0.1", "1.0.0-0a", "10.20.30+001"] {
            assert!(is_version(good), "{good}");
        }
        for bad in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "01.0.0",
            "v1.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0+",
            "0.0.0",
            "1.0.0-a..b",
            "99999999999999999999.0.0",
        ] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn platforms_are_those_of_the_reference() {
        assert!(is_platform("linux", None) && is_platform("linux", Some("aarch64")));
        assert!(!is_platform("plan9", None) && !is_platform("linux", Some("x86_64")));
    }
}
