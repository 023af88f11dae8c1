#!/usr/bin/env python3
"""Writes tests/data/schema1: manifests of Docker's schema 1, right and wrong.

Usage: tests/data/make-schema1-vectors.py   (needs python3 and openssl)

Keys are fresh in each run and thrown away. The first word of a file's name is what must become of it: `good`,
`malformed`, `ambiguous`, `limit` (the frame or the contents are refused), or `unsigned-…` for the same in manifests
without signatures; `forged` is for frames that are sound and whose signature does not hold. `digests.json` has the
digest of each good one, as this script computes it: over the payload.
"""
import base64, hashlib, json, os, shutil, subprocess, tempfile

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema1")
EMPTY = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
work = tempfile.mkdtemp()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, check=True).stdout


def key(kind):
    path = os.path.join(work, kind)
    if not os.path.exists(path):
        how = {"RS": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}.get(kind[:2])
        curve = {"256": "P-256", "384": "P-384", "512": "P-521"}[kind[2:5]]
        openssl("genpkey", *(how or ["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}"]), "-out", path)
    return path


def kid(der):
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[i:i + 4] for i in range(0, 48, 4))


def jwk(alg, path):
    der = openssl("pkey", "-in", path, "-pubout", "-outform", "DER")
    if alg.startswith("ES"):
        size = {"ES256": 32, "ES384": 48, "ES512": 66}[alg]
        x, y = der[-2 * size:-size], der[-size:]
        crv = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
        return {"crv": crv, "kid": kid(der), "kty": "EC", "x": b64(x), "y": b64(y)}
    modulus = openssl("rsa", "-in", path, "-noout", "-modulus").decode().strip().split("=")[1]
    return {"e": "AQAB", "kid": kid(der), "kty": "RSA", "n": b64(bytes.fromhex(modulus))}


def raw(der, size):
    def integer(at):
        length = der[at + 1]
        return int.from_bytes(der[at + 2:at + 2 + length], "big"), at + 2 + length
    at = 3 if der[1] & 0x80 else 2
    r, at = integer(at)
    s, _ = integer(at)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def sign(payload, alg="ES256", who=None, cut=None, tail=None, header=None, protected=None):
    """One entry of `signatures` over `payload`."""
    path = key(who or alg)
    cut = payload.rindex(b"\n}") if cut is None else cut
    tail = payload[cut:] if tail is None else tail
    protected = protected or {"formatLength": cut, "formatTail": b64(tail), "time": "2016-02-02T02:02:02Z"}
    text = protected if isinstance(protected, str) else json.dumps(protected, separators=(",", ":"))
    text = b64(text.encode())
    message = (text + "." + b64(payload)).encode()
    made = openssl("dgst", f"-sha{alg[2:]}", "-sign", path, data=message)
    if alg.startswith("ES"):
        made = raw(made, {"ES256": 32, "ES384": 48, "ES512": 66}[alg])
    header = header if header is not None else {"jwk": jwk(alg, path), "alg": alg}
    return {"header": header, "signature": b64(made), "protected": text}


def body(payload, signatures, cut=None, between="", after=""):
    cut = payload.rindex(b"\n}") if cut is None else cut
    text = json.dumps(signatures, indent=3).replace("\n", "\n   ")
    return payload[:cut] + f'{between},\n   "signatures": {text}\n{after}}}'.encode()


def ident(n):
    return hashlib.sha256(f"layer {n}".encode()).hexdigest()


def blob(n):
    return "sha256:" + hashlib.sha256(f"blob {n}".encode()).hexdigest()


def entry(n, parent, **more):
    v1 = {"id": ident(n), "created": "2016-02-02T02:02:02Z", **more}
    if parent is not None:
        v1["parent"] = ident(parent)
    return v1


def manifest(history=None, blobs=None, **more):
    history = history or [
        entry(2, 1, architecture="amd64", os="linux", throwaway=True, config={"Labels": {"ID": "a"}}),
        entry(1, 0), entry(0, None)]
    blobs = blobs if blobs is not None else [EMPTY, blob(1), blob(0)][:len(history)]
    document = {"schemaVersion": 1, "name": "test/app", "tag": "v1", "architecture": "amd64",
                "fsLayers": [{"blobSum": b} for b in blobs],
                "history": [{"v1Compatibility": h if isinstance(h, str) else json.dumps(h)} for h in history]}
    document.update(more)
    return json.dumps({k: v for k, v in document.items() if v is not None}, indent=3).encode()


out, digests = {}, {}


def put(name, content, payload=None):
    out[name] = content
    if name.startswith(("good", "forged", "unsigned-good")):
        digests[name] = "sha256:" + hashlib.sha256(payload if payload is not None else content).hexdigest()


good = manifest()
for alg in ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512"]:
    put(f"good-{alg.lower()}", body(good, [sign(good, alg)]), good)
put("good-two-signatures", body(good, [sign(good), sign(good, "RS256")]), good)
without = {"alg": "ES256", "jwk": {k: v for k, v in jwk("ES256", key("ES256")).items() if k != "kid"}}
put("good-without-kid", body(good, [sign(good, header=without)]), good)
certificate = os.path.join(work, "certificate")
openssl("req", "-x509", "-new", "-key", key("ES256-x5c"), "-subj", "/CN=registry", "-days", "3650", "-outform", "DER",
        "-out", certificate)
x5c = base64.b64encode(open(certificate, "rb").read()).decode()
put("good-x5c", body(good, [sign(good, who="ES256-x5c", header={"alg": "ES256", "x5c": [x5c]})]), good)
put("good-x5c-before-jwk", body(good, [sign(good, who="ES256-x5c", header={
    "alg": "ES256", "x5c": [x5c], "jwk": jwk("ES256", key("ES256"))})]), good)
repeated = manifest([entry(1, 0, architecture="amd64", os="linux"), entry(1, 0), entry(0, None)],
                    [blob(2), blob(1), blob(0)])
put("good-id-twice-in-a-row", body(repeated, [sign(repeated)]), repeated)
put("unsigned-good", good)

# frames that are sound, and signatures that do not hold
other = manifest(tag="v2")
wrong = sign(other)
put("forged-other-payload", body(good, [wrong]), good)
flipped = sign(good)
flipped["signature"] = b64(bytes(64))
put("forged-zeros", body(good, [flipped]), good)
put("forged-one-of-two", body(good, [sign(good), flipped]), good)
kidless = jwk("ES256", key("ES256-other"))
put("forged-other-key", body(good, [sign(good, header={"alg": "ES256", "jwk": kidless})]), good)
bad_kid = {**jwk("ES256", key("ES256")), "kid": kidless["kid"]}
put("forged-kid", body(good, [sign(good, header={"alg": "ES256", "jwk": bad_kid})]), good)
put("forged-alg-none", body(good, [sign(good, header={"alg": "none", "jwk": jwk("ES256", key("ES256"))})]), good)
put("forged-alg-of-another-key", body(good, [sign(good, header={"alg": "RS256", "jwk": jwk("ES256", key("ES256"))})]),
    good)
put("forged-no-key", body(good, [sign(good, header={"alg": "ES256"})]), good)
small = os.path.join(work, "RS256-small")
openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", small)
put("forged-small-rsa", body(good, [sign(good, "RS256", who="RS256-small")]), good)

# rule 1: a signature at least
put("malformed-no-signatures", good)
put("malformed-empty-signatures", body(good, []))
put("malformed-null-signatures", good.replace(b"\n}", b',\n   "signatures": null\n}'))
# rule 2: formatLength
cut = good.rindex(b"\n}")
for name, length in [("negative", -1), ("zero", 0), ("of-the-body", 10 ** 6), ("huge", 2 ** 63),
                     ("float", 100.5), ("text", "100")]:
    protected = {"formatLength": length, "formatTail": "Cn0"}
    put(f"malformed-length-{name}", body(good, [sign(good, protected=protected)]))
put("malformed-length-exponent", body(good, [sign(good, protected='{"formatLength":1e3,"formatTail":"Cn0"}')]))
put("malformed-no-length", body(good, [sign(good, protected={"formatTail": "Cn0"})]))
put("ambiguous-length-twice", body(good, [sign(
    good, protected='{"formatLength":%d,"formatLength":%d,"formatTail":"Cn0"}' % (cut, cut - 1))]))
put("ambiguous-length-in-capitals", body(good, [sign(
    good, protected='{"formatLength":%d,"FORMATLENGTH":%d,"formatTail":"Cn0"}' % (cut, cut - 1))]))
put("malformed-tail-not-base64", body(good, [sign(good, protected={"formatLength": cut, "formatTail": "C n 0"})]))
put("malformed-tail-padded", body(good, [sign(good, protected={"formatLength": cut, "formatTail": "Cn0="})]))
# rule 3: the tail
long = good[:cut] + b"\n" * 1030 + b"}"
put("limit-tail", body(long, [sign(long, cut=cut)], cut=cut))
# rule 4: the payload is strict JSON
not_json = good[:cut] + b"\n"
put("malformed-payload-not-json", body(not_json, [sign(not_json, cut=cut)], cut=cut))
double = good.replace(b'"tag": "v1"', b'"tag": "v1",\n   "tag": "v2"')
put("ambiguous-key-twice", body(double, [sign(double)]))
capital = good.replace(b'"tag": "v1"', b'"tag": "v1",\n   "FsLayers": []')
put("ambiguous-key-in-capitals", body(capital, [sign(capital)]))
two = manifest(schemaVersion=2)
put("malformed-schema-version", body(two, [sign(two)]))
both = manifest(config={}, layers=[])
put("ambiguous-schema-2-too", body(both, [sign(both)]))
index = manifest(manifests=[])
put("ambiguous-index-too", body(index, [sign(index)]))
hidden = good[:cut] + b',\n   "fsLayers": []\n}'
put("ambiguous-second-layers-in-tail", body(hidden, [sign(hidden, cut=cut)], cut=cut))
inside = good[:cut] + b',\n   "signatures": []\n}'
put("malformed-signatures-in-payload", body(inside, [sign(inside, cut=cut)], cut=cut))
# rule 5: nothing but signatures behind what is signed
signed = sign(good)
put("ambiguous-extra-layers", body(good, [signed], between=',\n   "fsLayers": []'))
put("ambiguous-extra-key-before", body(good, [signed], between=',\n   "other": 1'))
put("ambiguous-extra-key-after", body(good, [signed], after='   ,"other": 1\n'))
put("ambiguous-line-after", body(good, [signed]) + b"\n")
# rule 6: all agree
put("malformed-disagree", body(good, [signed, sign(good, protected={"formatLength": cut - 1, "formatTail": "Cn0"})]))
put("limit-signatures", body(good, [signed] * 33))
put("malformed-signature-not-base64", body(good, [{**signed, "signature": "%"}]))
put("malformed-no-protected", body(good, [{k: v for k, v in signed.items() if k != "protected"}]))

# the contents
def bad(word, name, payload):
    put(f"{word}-{name}", body(payload, [sign(payload)]))
    put(f"unsigned-{word}-{name}", payload)

bad("malformed", "no-layers", manifest(fsLayers=[], history=[]))
bad("malformed", "more-layers", manifest(blobs=[EMPTY, blob(2), blob(1), blob(0)]))
bad("malformed", "fewer-layers", manifest(blobs=[EMPTY, blob(1)]))
bad("malformed", "oldest-first", manifest([entry(0, None), entry(1, 0)], [blob(0), blob(1)]))
bad("malformed", "parent-of-the-oldest", manifest([entry(1, 0), entry(0, 5)], [blob(1), blob(0)]))
bad("malformed", "no-parent", manifest([entry(1, None), entry(0, None)], [blob(1), blob(0)]))
bad("malformed", "other-parent", manifest([entry(1, 7), entry(0, None)], [blob(1), blob(0)]))
bad("malformed", "loop", manifest([entry(1, 0), entry(0, 1), entry(1, None)], [blob(1), blob(0), blob(1)]))
bad("malformed", "id-path", manifest([{"id": "../../../etc/passwd"}], [blob(0)]))
bad("malformed", "id-capitals", manifest([{"id": ident(0).upper()}], [blob(0)]))
bad("malformed", "id-absent", manifest([{"created": "x"}], [blob(0)]))
bad("malformed", "history-not-json", manifest(["{"], [blob(0)]))
bad("ambiguous", "history-key-twice", manifest(['{"id": "%s", "id": "%s"}' % (ident(0), ident(1))], [blob(0)]))
bad("ambiguous", "history-key-in-capitals", manifest([entry(0, None, Throwaway=True)], [blob(0)]))
bad("ambiguous", "throwaway-with-content", manifest([entry(0, None, throwaway=True)], [blob(0)]))
bad("malformed", "digest-path", manifest([entry(0, None)], ["sha256:../../x"]))
bad("malformed", "no-name", manifest(name=None))

shutil.rmtree(HERE, ignore_errors=True)
os.makedirs(HERE)
for name, content in out.items():
    with open(os.path.join(HERE, name + ".json"), "wb") as file:
        file.write(content)
with open(os.path.join(HERE, "digests.json"), "w") as file:
    json.dump(digests, file, indent=1, sort_keys=True)
    file.write("\n")
shutil.rmtree(work)
