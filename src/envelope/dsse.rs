//! DSSE: the Dead Simple Signing Envelope 1.0.

/// Payload type of in-toto statements (in-toto attestation spec, envelope).
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The pre-authentication encoding: what is really signed (DSSE 1.0,
/// protocol.md, "Signature Definition").
///
/// `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut bytes = Vec::with_capacity(head.len() + payload.len());
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of DSSE 1.0, protocol.md.
    #[test]
    fn the_example_of_the_specification() {
        let bytes = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
