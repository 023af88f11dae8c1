#!/usr/bin/env bash
# Makes tests/data/{sigstore,cosign}/by-cosign-*: what the real cosign signs
# with each kind of key, in both of its formats. Kept so that anybody can see
# where the vectors come from and make them again; the tests need none of it.
#
#   OCISIGN_PEERS=DIR tests/data/make-cosign-vectors.sh
#
# DIR holds cosign, crane and referrers-registry. Everything happens on
# loopback and in a temporary directory; the private keys are thrown away.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peers=${OCISIGN_PEERS:?set OCISIGN_PEERS to the folder with cosign, crane and referrers-registry}
port=${PORT:-15077}
registry=localhost:$port
work=$(mktemp -d)
export HOME=$work COSIGN_PASSWORD='' # no credentials, no cache, of whoever runs this
"$peers/referrers-registry" "$port" 2>"$work/registry.log" &
server=$!
trap 'kill "$server"; rm -rf "$work"' EXIT
cd "$work"
for _ in $(seq 50); do curl -sf "http://$registry/v2/" >/dev/null && break; sleep 0.1; done

cosign() { "$peers/cosign" "$@" </dev/null >>cosign.log 2>&1 || { cat cosign.log >&2; return 1; }; }
crane() { "$peers/crane" "$@" 2>>crane.log || { cat crane.log >&2; return 1; }; }
digest() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]][0]["digest"])' "$1"; } # of a list's first entry

# A signing-config without services: nothing is asked of any log or timestamp authority.
cosign signing-config create --no-default-fulcio --no-default-oidc --no-default-rekor --no-default-tsa --out offline.json

key() { # KIND: a private key by openssl, taken over by cosign
  case $1 in
    ecdsa-p256) openssl ecparam -name prime256v1 -genkey -noout ;;
    ecdsa-p384) openssl ecparam -name secp384r1 -genkey -noout ;;
    ecdsa-p521) openssl ecparam -name secp521r1 -genkey -noout ;;
    ed25519) openssl genpkey -algorithm ed25519 ;;
    rsa-*) openssl genpkey -algorithm rsa -pkeyopt "rsa_keygen_bits:${1#rsa-}" ;;
  esac >"$1.pem" 2>/dev/null
  cosign import-key-pair --key "$1.pem" --output-key-prefix "$1" --yes
}

# DIR SUBJECT SCHEME STATEMENT NAME ANNOTATIONS(yes|no): says what must happen.
expect() {
  python3 - "$@" <<'PY'
import json, sys
folder, subject, scheme, statement, name, annotations = sys.argv[1:]
case = {"subject": subject, "expect": "accept", "statement": statement}
if scheme: case["scheme"] = scheme
if name: case["name"] = name
if annotations == "yes": case["annotations"] = {"env": "prod", "team": "blue"}
open(folder + "/case.json", "w").write(json.dumps(case, indent=2) + "\n")
PY
}

bundle() { # REPOSITORY SUBJECT FOLDER: the one referrer of the subject
  mkdir -p "$3"
  local manifest blob
  manifest=$(curl -sf "http://$registry/v2/$1/referrers/$2" | digest manifests)
  crane manifest "$registry/$1@$manifest" >"$3/manifest.json"
  blob=$(digest layers <"$3/manifest.json")
  crane blob "$registry/$1@$blob" >"$3/bundle.json"
}

echo 'hello' >hello && tar --mtime=@0 --owner=0 --group=0 -cf layer.tar hello
for kind in ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 rsa-2048 rsa-3072 rsa-4096; do
  echo "$kind" >&2
  key "$kind"
  case $kind in
    ecdsa-p256) scheme=ecdsa-p256-sha256 ;;
    ecdsa-p384) scheme=ecdsa-p384-sha384 ;;
    ecdsa-p521) scheme=ecdsa-p521-sha512 ;;
    ed25519) scheme=ed25519ph ;;
    rsa-*) scheme=rsa-pkcs1-sha256 ;;
  esac
  crane append --oci-empty-base -f layer.tar -t "$registry/new/$kind:v1" >/dev/null
  crane append --oci-empty-base -f layer.tar -t "$registry/old/$kind:v1" >/dev/null
  subject=$(crane digest "$registry/new/$kind:v1")

  cosign sign --key "$kind.key" --signing-config offline.json -a env=prod -a team=blue --yes \
    "$registry/new/$kind@$subject"
  folder=$here/sigstore/by-cosign-$kind
  bundle "new/$kind" "$subject" "$folder"
  cp "$kind.pub" "$folder/key.pub"
  expect "$folder" "$subject" "$scheme" signature "" yes

  cosign sign --key "$kind.key" --new-bundle-format=false --use-signing-config=false --tlog-upload=false \
    -a env=prod -a team=blue --yes "$registry/old/$kind@$subject"
  folder=$here/cosign/by-cosign-$kind
  mkdir -p "$folder"
  crane manifest "$registry/old/$kind:${subject/:/-}.sig" >"$folder/manifest.json"
  crane blob "$registry/old/$kind@$(digest layers <"$folder/manifest.json")" >"$folder/payload.json"
  cp "$kind.pub" "$folder/key.pub"
  expect "$folder" "$subject" "$scheme" signature "$registry/old/$kind" yes
done

# An attestation is no signature, whoever made it.
kind=ecdsa-p256
crane append --oci-empty-base -f layer.tar -t "$registry/attested:v1" >/dev/null
echo '{"result":"FAILED"}' >predicate.json
cosign attest --key "$kind.key" --signing-config offline.json --type https://example.com/test/v1 \
  --predicate predicate.json --yes "$registry/attested@$subject"
folder=$here/sigstore/by-cosign-attestation
bundle attested "$subject" "$folder"
cp "$kind.pub" "$folder/key.pub"
# Unlike a signature it carries the repository as the subject's name.
expect "$folder" "$subject" "" https://example.com/test/v1 "$registry/attested" no

# Older cosign with --registry-referrers-mode=oci-1-1: simple signing as a referrer.
crane append --oci-empty-base -f layer.tar -t "$registry/referrer:v1" >/dev/null
COSIGN_EXPERIMENTAL=1 cosign sign --key "$kind.key" --new-bundle-format=false --use-signing-config=false \
  --tlog-upload=false --registry-referrers-mode=oci-1-1 --yes "$registry/referrer@$subject"
folder=$here/cosign/by-cosign-referrer
mkdir -p "$folder"
manifest=$(curl -sf "http://$registry/v2/referrer/referrers/$subject" | digest manifests)
crane manifest "$registry/referrer@$manifest" >"$folder/manifest.json"
crane blob "$registry/referrer@$(digest layers <"$folder/manifest.json")" >"$folder/payload.json"
cp "$kind.pub" "$folder/key.pub"
expect "$folder" "$subject" ecdsa-p256-sha256 signature "$registry/referrer" no
