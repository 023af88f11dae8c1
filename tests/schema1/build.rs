//! Manifests of schema 1, made.

use flate2::Compression;
use flate2::write::GzEncoder;
use ocisign::image::Digest;

/// A tar of one file, in gzip.
pub(crate) fn layer(content: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "app/file", content.as_bytes()).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

/// An unsigned manifest over layers, the newest first.
pub(crate) fn unsigned(layers: &[&[u8]]) -> Vec<u8> {
    let id = |at: usize| format!("{at:064x}");
    let history = (0..layers.len()).map(|at| {
        let parent = if at + 1 < layers.len() { id(at + 1) } else { String::new() };
        let v1 = serde_json::json!({
            "id": id(at), "parent": parent, "os": "linux", "architecture": "amd64",
        });
        serde_json::json!({ "v1Compatibility": v1.to_string() })
    });
    let blobs = layers.iter().map(|l| serde_json::json!({"blobSum": Digest::sha256(l)}));
    let manifest = serde_json::json!({
        "schemaVersion": 1, "name": "app", "tag": "v1", "architecture": "amd64",
        "fsLayers": blobs.collect::<Vec<_>>(), "history": history.collect::<Vec<_>>(),
    });
    serde_json::to_vec_pretty(&manifest).unwrap()
}

/// The same manifest with a signature by this key (P-256), as libtrust
/// writes it.
pub(crate) fn sign(payload: &[u8], key: &p256::ecdsa::SigningKey) -> Vec<u8> {
    use base64::Engine as _;
    use p256::ecdsa::signature::Signer as _;
    let b64 = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let cut = payload.len() - 2;
    let tail = b64(&payload[cut..]);
    let protected = serde_json::json!({
        "formatLength": cut, "formatTail": tail, "time": "2016-02-02T02:02:02Z",
    });
    let protected = b64(protected.to_string().as_bytes());
    let made: p256::ecdsa::Signature = key.sign(format!("{protected}.{}", b64(payload)).as_bytes());
    let point = key.verifying_key().to_encoded_point(false);
    let jwk = serde_json::json!({
        "kty": "EC", "crv": "P-256", "x": b64(point.x().unwrap()), "y": b64(point.y().unwrap()),
    });
    let signatures = serde_json::json!([{
        "header": { "alg": "ES256", "jwk": jwk },
        "signature": b64(&made.to_bytes()), "protected": protected,
    }]);
    [&payload[..cut], b",\n   \"signatures\": ", signatures.to_string().as_bytes(), b"\n}"].concat()
}

pub(crate) fn key(seed: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap()
}
