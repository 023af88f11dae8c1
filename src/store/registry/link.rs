//! `Link` headers: RFC 8288, section 3, as far as paging needs it.

/// The target of the first link whose relation is `next`.
pub(super) fn next<'a>(headers: impl Iterator<Item = &'a str>) -> Option<String> {
    headers.flat_map(links).find(|(_, params)| is_next(params)).map(|(target, _)| target.to_owned())
}

/// Each `<target>` with the text of its parameters.
fn links(header: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, tail)) = after.split_once('>') else { break };
        let (params, more) = split_outside_quotes(tail, ',');
        found.push((target.trim(), params));
        rest = more;
    }
    found
}

fn is_next(params: &str) -> bool {
    let mut rest = params;
    while !rest.is_empty() {
        let (param, more) = split_outside_quotes(rest, ';');
        rest = more;
        if let Some((name, value)) = param.split_once('=') {
            let relations = value.trim().trim_matches('"');
            let next = relations.split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"));
            if next && name.trim().eq_ignore_ascii_case("rel") {
                return true;
            }
        }
    }
    false
}

fn split_outside_quotes(text: &str, separator: char) -> (&str, &str) {
    let mut quoted = false;
    let cut = text.find(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    });
    cut.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        for (header, want) in [
            (r#"</v2/a/referrers/x?n=2>; rel="next""#, Some("/v2/a/referrers/x?n=2")),
            ("<p?n=2>;rel=next", Some("p?n=2")),
            (
                r#"<a>; rel="prev", <b?x=1,2>; title="a, <b>; rel=x"; rel="last next""#,
                Some("b?x=1,2"),
            ),
            (r#"<a>; rel="nextish""#, None),
            (r#"<a>; title="rel=next""#, None),
            ("<a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(std::iter::once(header)).as_deref(), want, "{header}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(text in r#"([<>;,="a-zü ]|rel=|next){0,200}"#) {
            let found = next(std::iter::once(text.as_str()));
            proptest::prop_assert!(found.is_none_or(|target| text.contains(&target)));
        }
    }
}
