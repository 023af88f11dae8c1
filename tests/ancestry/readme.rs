//! The README's table of the ancestry is this one.

use ocisign::evidence::Format;

use super::common::run::source;
use super::table::{Row, TABLE};

const BEGIN: &str = "<!-- printed by tests/ancestry -->\n";
const END: &str = "<!-- end -->\n";

fn printed() -> String {
    let mut text = String::from(
        "| format | content-addressed? | signable? | what ocisign proves |\n|---|---|---|---|\n",
    );
    for row in TABLE {
        let signed: Vec<_> = row.signed.iter().map(|format| name(*format)).collect();
        text += &format!(
            "| {} | {} | {} | {} |\n",
            row.image,
            row.generation.addressed().text(),
            signed.join(", "),
            row.proves
        );
    }
    text
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Sigstore => "Sigstore bundle",
        Format::Cosign => "older cosign",
        Format::Simple => "GPG simple signing",
        Format::Appc => "OpenPGP (`.asc`)",
        Format::NotaryJws | Format::NotaryCose => "Notary Project",
        Format::Libtrust => "libtrust",
    }
}

#[test]
fn the_readme_has_this_table() {
    let path = source("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (there, after) = rest.split_once(END).unwrap();
    if std::env::var_os("OCISIGN_WRITE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", printed())).unwrap();
        return;
    }
    assert_eq!(
        there,
        printed(),
        "write it anew: OCISIGN_WRITE=1 cargo test --test ancestry readme"
    );
}

#[test]
fn what_is_proved_names_every_part() {
    let missing = |row: &Row| {
        let parts = row.parts.iter();
        let unnamed: Vec<_> = parts.filter(|part| !row.proves.contains(*part)).collect();
        // "the same" is the row above
        !unnamed.is_empty() && !row.proves.starts_with("the same, and")
    };
    let wrong: Vec<_> = TABLE.iter().filter(|row| missing(row)).map(|row| row.image).collect();
    assert_eq!(wrong, [""; 0]);
}
