//! PEM as RFC 7468 defines it and openssl writes it: base64 between two
//! lines, with free text around.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One block: what stood between a BEGIN and an END line.
#[derive(Debug)]
pub struct Block {
    /// The label of both lines, such as `PUBLIC KEY`.
    pub label: String,
    /// The decoded bytes; wiped when dropped, as they may be a secret.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// Why a text is no usable PEM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No BEGIN line.
    #[error("there is no PEM block; expected a line that begins with `-----BEGIN`")]
    None,
    /// More blocks than the reader takes.
    #[error("there is more than one PEM block; keep one key to a file")]
    Several,
    /// A BEGIN line without its END line, or an END line of another label.
    #[error("the PEM block `{0}` has no end of its own; was the file cut?")]
    Unended(String),
    /// Headers of RFC 1421, which openssl once used for encrypted keys.
    #[error("the PEM block `{0}` has headers; convert it with `openssl pkcs8 -topk8`")]
    Headers(String),
    /// The body is no base64.
    #[error("the PEM block `{0}` is no base64; was the file edited?")]
    Base64(String),
    /// Bytes that are no text.
    #[error("this is no text; give the PEM form (`openssl … -outform PEM`)")]
    Binary,
    /// Longer than the limit.
    #[error("the file is larger than {0} bytes; is it a key?")]
    TooLarge(u64),
}

/// The only block of `text`, which may be up to `limit` bytes long.
///
/// Text outside of the block is allowed and ignored (RFC 7468, section 2).
///
/// # Errors
/// [`PemError`]; two blocks are one too many.
pub fn one(text: &[u8], limit: u64) -> Result<Block, PemError> {
    let mut blocks = blocks(text, limit)?.into_iter();
    match (blocks.next(), blocks.next()) {
        (Some(block), None) => Ok(block),
        (None, _) => Err(PemError::None),
        (Some(_), Some(_)) => Err(PemError::Several),
    }
}

/// Every block of `text`, in order. For files such as openssl's `EC PRIVATE
/// KEY`, which follows a block of parameters.
///
/// # Errors
/// [`PemError`], never [`PemError::Several`]; none at all is an empty list.
pub fn blocks(text: &[u8], limit: u64) -> Result<Vec<Block>, PemError> {
    if text.len() as u64 > limit {
        return Err(PemError::TooLarge(limit));
    }
    let text = std::str::from_utf8(text).map_err(|_| PemError::Binary)?;
    let mut lines = text.lines().map(str::trim_end);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(label) = label(line, BEGIN) {
            found.push(block(label, &mut lines, text.len())?);
        }
    }
    Ok(found)
}

/// `bytes` as PEM with lines of 64 characters.
pub fn encode(label: &str, bytes: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    text.reserve_exact(body.len() + body.len() / 64 + label.len() + 16);
    for (at, c) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push_str(&format!("\n{END}{label}{DASHES}\n"));
    text
}

/// `room` is at least the body's length: a string that grows leaves copies of
/// a secret behind.
fn block<'a>(
    label: &str,
    lines: &mut impl Iterator<Item = &'a str>,
    room: usize,
) -> Result<Block, PemError> {
    let name = || label.chars().take(64).collect::<String>();
    let mut body = Zeroizing::new(String::with_capacity(room));
    for line in lines {
        if self::label(line, END) == Some(label) {
            let bytes = STANDARD.decode(body.as_bytes()).map_err(|_| PemError::Base64(name()))?;
            return Ok(Block { label: name(), bytes: Zeroizing::new(bytes) });
        }
        if line.starts_with(DASHES) {
            break;
        }
        if line.contains(':') {
            return Err(PemError::Headers(name()));
        }
        body.extend(line.chars().filter(|c| !c.is_ascii_whitespace()));
    }
    Err(PemError::Unended(name()))
}

fn label<'a>(line: &'a str, edge: &str) -> Option<&'a str> {
    line.strip_prefix(edge)?.strip_suffix(DASHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 16;

    fn one_of(text: &str) -> Result<(String, Vec<u8>), PemError> {
        one(text.as_bytes(), LIMIT).map(|b| (b.label, b.bytes.to_vec()))
    }

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 47, 48, 49, 300] {
            let bytes = vec![7; len];
            assert_eq!(one_of(&encode("X Y", &bytes)), Ok(("X Y".into(), bytes)));
        }
    }

    #[test]
    fn text_around_the_block_is_ignored() {
        let text = format!("# ana's key\r\n\r\n{}\nissued 2026\n", encode("K", b"abc"));
        assert_eq!(one_of(&text.replace('\n', "\r\n")), Ok(("K".into(), b"abc".to_vec())));
    }

    #[test]
    fn everything_else_is_refused() {
        let good = encode("K", b"abc");
        for (text, want) in [
            (String::new(), PemError::None),
            ("YWJj".to_owned(), PemError::None),
            (good.repeat(2), PemError::Several),
            (good.replace("END K", "END L"), PemError::Unended("K".into())),
            (good.replace("-----END K-----", ""), PemError::Unended("K".into())),
            (good.replace("YWJj", "YWJ"), PemError::Base64("K".into())),
            (good.replace("YWJj", "YW*j"), PemError::Base64("K".into())),
            (good.replace("YWJj", "DEK-Info: x\n\nYWJj"), PemError::Headers("K".into())),
        ] {
            assert_eq!(one_of(&text), Err(want), "{text}");
        }
        assert_eq!(one(&[0x30, 0x80], LIMIT).err(), Some(PemError::Binary));
        assert_eq!(one(good.as_bytes(), 10).err(), Some(PemError::TooLarge(10)));
    }
}
