#!/usr/bin/env python3
"""Makes tests/data/{sigstore,cosign}/* but for the by-cosign-* of the other script.

Each case is one envelope that breaks one rule, or that keeps all of them in an
unusual way. Where the rule is about what is signed, the signature is good: it
is made here with openssl, by a key that is thrown away.

    python3 tests/data/make-rejected-vectors.py
"""
import base64, hashlib, json, pathlib, shutil, subprocess, tempfile

HERE = pathlib.Path(__file__).parent
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
SUBJECT = "sha256:" + hashlib.sha256(b"the image").hexdigest()
OTHER = "sha256:" + hashlib.sha256(b"another image").hexdigest()
WORK = pathlib.Path(tempfile.mkdtemp())


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True, capture_output=True).stdout


def new_key(name):
    path = WORK / (name + ".pem")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
    pem = openssl("pkey", "-in", str(path), "-pubout")
    der = openssl("pkey", "-in", str(path), "-pubout", "-outform", "DER")
    return {"path": str(path), "pem": pem, "hint": base64.b64encode(hashlib.sha256(der).digest()).decode()}


KEY, STRANGER = new_key("key"), new_key("stranger")


def sign(message, key=KEY):
    return openssl("dgst", "-sha256", "-sign", key["path"], data=message)


def b64(data):
    return base64.b64encode(data).decode()


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def subject(digest=SUBJECT, **more):
    return {"digest": {"sha256": digest.removeprefix("sha256:")}, **more}


def statement(subjects=None, **more):
    return {"_type": "https://in-toto.io/Statement/v1", "subject": subjects or [subject()],
            "predicateType": SIGN, "predicate": {}, **more}


def pae(payload, kind="application/vnd.in-toto+json"):
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def bundle(payload=None, key=KEY, kind="application/vnd.in-toto+json", material=None, media_type=BUNDLE, **more):
    payload = payload if isinstance(payload, bytes) else compact(payload or statement())
    return {"mediaType": media_type,
            "verificationMaterial": {"publicKey": {"hint": key["hint"]}} if material is None else material,
            "dsseEnvelope": {"payload": b64(payload), "payloadType": kind,
                             "signatures": [{"sig": b64(sign(pae(payload, kind), key))}]}, **more}


def descriptor(media_type, data, **more):
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data), **more}


def write(folder, manifest, blob_name, blob, expect, says="", **facts):
    path = HERE / folder
    path.mkdir(parents=True)
    (path / "manifest.json").write_bytes(compact(manifest))
    (path / blob_name).write_bytes(blob)
    (path / "key.pub").write_bytes(KEY["pem"])
    case = {"subject": SUBJECT, "expect": expect, **({"says": says} if says else {}), **facts}
    (path / "case.json").write_text(json.dumps(case, indent=2) + "\n")


def referrer(blob, **more):
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"),
                "layers": [descriptor(BUNDLE, blob)],
                "subject": descriptor("application/vnd.oci.image.manifest.v1+json", b"the image"),
                "artifactType": BUNDLE}
    manifest.update(more)
    return {k: v for k, v in manifest.items() if v is not None}


def sigstore(case, envelope, expect, says="", manifest=None, **facts):
    blob = envelope if isinstance(envelope, bytes) else compact(envelope)
    write("sigstore/" + case, manifest or referrer(blob), "bundle.json", blob, expect, says, **facts)


def cosign_payload(**more):
    critical = {"identity": {"docker-reference": "ghcr.io/team/app:v1"},
                "image": {"docker-manifest-digest": SUBJECT}, "type": "cosign container image signature"}
    critical.update(more.pop("critical", {}))
    return {"critical": critical, "optional": None, **more}


def cosign(case, payload, expect, says="", layer=None, listed=None, media_type=None, **facts):
    blob = payload if isinstance(payload, bytes) else compact(payload)
    signature = {"dev.cosignproject.cosign/signature": b64(sign(blob))}
    signature.update(layer or {})
    signature = {k: v for k, v in signature.items() if v is not None}
    listed = descriptor(media_type or "application/vnd.dev.cosign.simplesigning.v1+json", listed or blob,
                        annotations=signature)
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"), "layers": [listed]}
    write("cosign/" + case, manifest, "payload.json", blob, expect, says, **facts)


for folder in ("sigstore", "cosign"):
    for old in (HERE / folder).glob("*"):
        if not old.name.startswith("by-cosign-"):
            shutil.rmtree(old)

SIGNED = {"statement": "signature"}
certificate = {"rawBytes": b64(b"a certificate")}
chain = {"x509CertificateChain": {"certificates": [certificate]}}
hinted = {"publicKey": {"hint": KEY["hint"]}}

# --- bundles: which key
sigstore("no-hint", bundle(material={"publicKey": {}}), "accept", **SIGNED)
sigstore("hint-of-another-key", bundle(material={"publicKey": {"hint": STRANGER["hint"]}}), "accept", **SIGNED)
sigstore("hint-of-another-kind", bundle(material={"publicKey": {"hint": "ana"}}), "accept", **SIGNED)
sigstore("unknown-key", bundle(key=STRANGER), "unknown-key", STRANGER["hint"])
sigstore("unknown-key-without-hint", bundle(key=STRANGER, material={"publicKey": {}}), "unknown-key")
sigstore("hint-lies", bundle(key=STRANGER, material=hinted), "bad-signature")
sigstore("certificate", bundle(material={"certificate": certificate}), "unsupported", "keyless")
sigstore("chain-in-0.1", bundle(material=chain, media_type="application/vnd.dev.sigstore.bundle+json;version=0.1"),
         "unsupported", "keyless")
sigstore("chain-in-0.3", bundle(material=chain), "malformed", "chain")
sigstore("chain-empty", bundle(material={"x509CertificateChain": {"certificates": []}},
         media_type="application/vnd.dev.sigstore.bundle+json;version=0.2"), "malformed", "empty")
sigstore("certificate-no-base64", bundle(material={"certificate": {"rawBytes": "*"}}), "malformed", "base64")
sigstore("key-and-certificate", bundle(material={**hinted, "certificate": certificate}), "malformed", "exactly one")
sigstore("no-key", bundle(material={}), "malformed", "exactly one")

# --- bundles: the envelope
for version in ("0.1", "0.2", "0.3"):
    sigstore("version-" + version, bundle(media_type="application/vnd.dev.sigstore.bundle+json;version=" + version),
             "accept", **SIGNED)
for version in ("application/vnd.dev.sigstore.bundle.v0.4+json", "application/vnd.dev.sigstore.bundle+json;version=99.9"):
    sigstore("version-" + ("0.4" if "v0.4" in version else "99.9"), bundle(media_type=version), "unsupported", "media type")
entry = {"logIndex": "1", "logId": {"keyId": "AAAA"}}
stamp = {"signedTimestamp": "AAAA"}
material = lambda n, m: {**hinted, "tlogEntries": [entry] * n, "timestampVerificationData": {"rfc3161Timestamps": [stamp] * m}}
sigstore("with-log-entries", bundle(material=material(32, 32)), "accept", **SIGNED)
sigstore("too-many-log-entries", bundle(material=material(33, 0)), "limit-exceeded", "log entries")
sigstore("too-many-timestamps", bundle(material=material(0, 33)), "limit-exceeded", "timestamps")
message = {"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "AAAA"}
both = bundle(messageSignature=message)
sigstore("message-and-envelope", both, "malformed", "exactly one")
sigstore("message-signature", {k: v for k, v in both.items() if k != "dsseEnvelope"}, "unsupported", "message digest")
neither = bundle(); del neither["dsseEnvelope"]
sigstore("no-envelope", neither, "malformed", "exactly one")
sigstore("payload-type", bundle(kind="application/json"), "unsupported", "application/json")
two = bundle(); two["dsseEnvelope"]["signatures"] *= 2
sigstore("two-signatures", two, "malformed", "2 DSSE signatures")
none = bundle(); none["dsseEnvelope"]["signatures"] = []
sigstore("no-signatures", none, "malformed", "0 DSSE signatures")
empty = bundle(); empty["dsseEnvelope"]["signatures"][0]["sig"] = ""
sigstore("empty-signature", empty, "malformed", "empty signature")
keyid = bundle(); keyid["dsseEnvelope"]["signatures"][0]["keyid"] = "ana"
sigstore("keyid", keyid, "accept", **SIGNED)
raw = bundle(); raw["dsseEnvelope"]["signatures"][0]["sig"] = "no base64"
sigstore("signature-no-base64", raw, "malformed", "base64")
raw = bundle(); raw["dsseEnvelope"]["payload"] = "no base64"
sigstore("payload-no-base64", raw, "malformed", "base64")
over = bundle()
over["dsseEnvelope"]["signatures"][0]["sig"] = b64(sign(compact(statement())))
sigstore("signed-without-pae", over, "bad-signature")
sigstore("unknown-field", bundle(comment="x"), "malformed", "unknown field")
sigstore("twin-field", bundle(mediatype="x"), "malformed", "mediatype")
text = compact(bundle())
sigstore("duplicate-field", text[:-1] + b',"mediaType":"' + BUNDLE.encode() + b'"}', "malformed", "twice")
sigstore("cut", text[:-1], "malformed")
sigstore("trailing-text", text + b"{}", "malformed")
sigstore("not-json", b"hello", "malformed")
sigstore("empty", b"", "malformed")
sigstore("deep", b"[" * 1_000, "limit-exceeded", "nests deeper")

# --- bundles: the statement, each time with a good signature
sigstore("name-and-annotations", bundle(statement([subject(name="ghcr.io/team/app:v1",
         annotations={"env": "prod", "count": 3, "nested": {"a": "b"}, "none": None})])),
         "accept", **SIGNED, name="ghcr.io/team/app:v1", annotations={"env": "prod"})
sigstore("second-subject", bundle(statement([subject(OTHER, name="other", annotations={"env": "test"}),
         subject(name="ours", annotations={"env": "prod"})])), "accept", **SIGNED, name="ours", annotations={"env": "prod"})
sigstore("one-image-two-names", bundle(statement([subject(name="a", annotations={"env": "prod", "x": "1"}),
         subject(name="b", annotations={"env": "prod", "x": "2"})])), "accept", **SIGNED, annotations={"env": "prod"})
more = subject(); more["digest"]["gitCommit"] = "00"; more["digest"]["sha512"] = "00"
sigstore("other-digests-beside", bundle(statement([more])), "accept", **SIGNED)
sigstore("unknown-statement-field", bundle(statement(comment="ignored, as the framework demands")), "accept", **SIGNED)
sigstore("no-predicate", bundle({k: v for k, v in statement().items() if k != "predicate"}), "accept", **SIGNED)
sigstore("attestation-0.1", bundle(statement(_type="https://in-toto.io/Statement/v0.1",
         predicateType="https://slsa.dev/provenance/v1", predicate={"builder": {"id": "x"}})), "accept",
         statement="https://slsa.dev/provenance/v1")
sigstore("signature-0.1", bundle(statement(_type="https://in-toto.io/Statement/v0.1")), "unsupported", "v0.1")
sigstore("statement-2", bundle(statement(_type="https://in-toto.io/Statement/v2")), "unsupported", "v2")
sigstore("wrong-subject", bundle(statement([subject(OTHER)])), "wrong-subject", OTHER)
sigstore("upper-case-digest", bundle(statement([subject(SUBJECT.upper().removeprefix("SHA256:"))])), "wrong-subject")
sigstore("only-another-hash", bundle(statement([{"digest": {"sha512": hashlib.sha512(b"the image").hexdigest()}}])),
         "wrong-subject", "sha512")
sigstore("no-subjects", bundle({**statement(), "subject": []}), "malformed", "subjects")
sigstore("subject-without-digest", bundle(statement([subject(), {"name": "x"}])), "malformed", "digest")
sigstore("too-many-subjects", bundle(statement([subject()] * 1025)), "limit-exceeded", "subjects")
many = {"digest": {"x%d" % i: "00" for i in range(33)}}
sigstore("too-many-digests", bundle(statement([subject(), many])), "limit-exceeded", "digests")
plain = compact(statement())
sigstore("duplicate-subject-key", bundle(plain[:-1] + b',"subject":[]}'), "malformed", "twice")
sigstore("twin-subject-key", bundle(statement(Subject=[subject(OTHER)])), "malformed", "case only")
sigstore("statement-not-json", bundle(b"hello"), "malformed", "statement")
sigstore("statement-array", bundle(b"[]"), "malformed", "statement")

# --- the manifest that carries a bundle
good = compact(bundle())
sigstore("carrier-of-another-image", good, "wrong-subject",
         manifest=referrer(good, subject=descriptor("application/vnd.oci.image.manifest.v1+json", b"another image")))
sigstore("carrier-without-subject", good, "wrong-subject", "without subject", manifest=referrer(good, subject=None))
sigstore("carrier-of-another-type", good, "foreign", "application/spdx+json",
         manifest=referrer(good, artifactType="application/spdx+json"))
sigstore("carrier-without-type", good, "foreign", "empty", manifest=referrer(good, artifactType=None))
sigstore("carrier-with-two-layers", good, "malformed", "2 layers",
         manifest=referrer(good, layers=[descriptor(BUNDLE, good)] * 2))
sigstore("carrier-without-layers", good, "malformed", "0 layers", manifest=referrer(good, layers=[]))
sigstore("carrier-of-text", good, "malformed", "no bundle", manifest=referrer(good, layers=[descriptor("text/plain", good)]))
sigstore("carrier-is-an-index", good, "foreign", "index", manifest=referrer(good, manifests=[]))
sigstore("corrupt", good, "corrupt", "instead of", manifest=referrer(good.replace(b"in-toto", b"in-Toto")))
sigstore("corrupt-size", good, "corrupt", "bytes instead of", manifest=referrer(good + b" "))

# --- older cosign
NAMED = {"statement": "signature", "name": "ghcr.io/team/app:v1"}
cosign("optional-null", cosign_payload(), "accept", **NAMED)
cosign("optional-object", cosign_payload(optional={"env": "prod", "n": 1, "list": [], "none": None}), "accept",
       **NAMED, annotations={"env": "prod"})
cosign("optional-array", cosign_payload(optional=[]), "malformed", "payload")
cosign("optional-text", cosign_payload(optional="x"), "malformed", "payload")
cosign("no-name", cosign_payload(critical={"identity": {"docker-reference": ""}}), "accept", **SIGNED)
cosign("wrong-digest", cosign_payload(critical={"image": {"docker-manifest-digest": OTHER}}), "wrong-subject", OTHER)
cosign("wrong-type", cosign_payload(critical={"type": "atomic container signature"}), "malformed", "critical.type")
cosign("unknown-critical-key", cosign_payload(critical={"expires": "2026"}), "malformed", "unknown field")
cosign("unknown-key", cosign_payload(comment="x"), "malformed", "unknown field")
cosign("no-identity", cosign_payload(critical={"identity": {}}), "malformed", "docker-reference")
cosign("duplicate-digest", compact(cosign_payload()).replace(b'"image":{', b'"image":{"docker-manifest-digest":"x",'),
       "malformed", "twice")
cosign("not-json", b"hello", "malformed", "payload")
cosign("no-signature", cosign_payload(), "malformed", "annotation", {"dev.cosignproject.cosign/signature": None})
cosign("signature-no-base64", cosign_payload(), "malformed", "base64", {"dev.cosignproject.cosign/signature": "*"})
cosign("of-another-key", cosign_payload(), "unknown-key", "",
       {"dev.cosignproject.cosign/signature": b64(sign(compact(cosign_payload()), STRANGER))})
cosign("certificate", cosign_payload(), "unsupported", "keyless", {"dev.sigstore.cosign/certificate": "-----BEGIN"})
cosign("corrupt", cosign_payload(), "corrupt", "instead of", listed=b"another payload")
cosign("foreign-layer", cosign_payload(), "foreign", "text/plain", media_type="text/plain")
shutil.rmtree(WORK)
