//! Bytes to packets: armour taken off, every packet read, nothing passed
//! over (RFC 9580, sections 4 and 6).

use std::io::Read as _;

use pgp::armor::{BlockType, Dearmor, DearmorOptions};
use pgp::packet::{Packet, PacketParser};

use super::OpenPgpError;

const BEGIN: &[u8] = b"-----BEGIN PGP ";

/// Reads all packets of `bytes`, armoured or binary. Armour must be of
/// `block`; several blocks may follow each other, and nothing else may stand
/// before, between or after them.
pub(super) fn read(bytes: &[u8], block: &BlockType) -> Result<Vec<Packet>, OpenPgpError> {
    match bytes.first() {
        None => Err(malformed("it is empty")),
        // the first bit of every packet is set, and that of no text is
        Some(first) if first & 0x80 != 0 => parse(bytes),
        Some(_) => {
            let mut packets = Vec::new();
            for text in blocks(bytes)? {
                packets.extend(parse(&dearmor(text, block)?)?);
            }
            Ok(packets)
        }
    }
}

/// Reads packets until the end.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Packet>, OpenPgpError> {
    PacketParser::new(bytes)
        .map(|packet| packet.map_err(|error| malformed(&error.to_string())))
        .collect()
}

/// Cuts a text into its armoured blocks.
fn blocks(mut text: &[u8]) -> Result<Vec<&[u8]>, OpenPgpError> {
    let mut found = Vec::new();
    loop {
        text = text.trim_ascii_start();
        if text.is_empty() && !found.is_empty() {
            return Ok(found);
        }
        if !text.starts_with(BEGIN) {
            return Err(malformed("there is text outside of the armour"));
        }
        let end =
            find(text, b"\n-----END PGP ").ok_or_else(|| malformed("the armour is cut off"))?;
        let tail = text.get(end + 1..).unwrap_or_default();
        let line = tail.iter().position(|b| *b == b'\n').unwrap_or(tail.len());
        let (block, rest) = text.split_at(end + 1 + line);
        found.push(block);
        text = rest;
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn dearmor(text: &[u8], block: &BlockType) -> Result<Vec<u8>, OpenPgpError> {
    // its checksum finds only accidents, and newer writers leave it out
    let options = DearmorOptions::new().set_limit(text.len());
    let mut reader = Dearmor::with_options(text, options);
    reader.read_header().map_err(|error| malformed(&error.to_string()))?;
    if reader.typ.as_ref() != Some(block) {
        let what = reader.typ.as_ref().map_or_else(String::new, ToString::to_string);
        return Err(OpenPgpError::Unsupported(format!(
            "armour of `{what}`, where `{block}` belongs"
        )));
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| malformed(&error.to_string()))?;
    Ok(bytes)
}

pub(super) fn malformed(why: &str) -> OpenPgpError {
    // texts of the parser quote what it read
    OpenPgpError::Malformed(why.chars().filter(|c| !c.is_control()).take(200).collect())
}
