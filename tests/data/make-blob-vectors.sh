#!/usr/bin/env bash
# Makes tests/data/blob: bundles over a file that the real cosign signed with
# each kind of key, without log and timestamp. The private keys are thrown
# away; nothing is asked of any service.
#
#   OCISIGN_PEERS=DIR tests/data/make-blob-vectors.sh        (DIR holds cosign)
set -euo pipefail
out=$(cd "$(dirname "$0")" && pwd)/blob
peers=${OCISIGN_PEERS:?set OCISIGN_PEERS to the folder with cosign}
work=$(mktemp -d)
export HOME=$work COSIGN_PASSWORD=''
trap 'rm -rf "$work"' EXIT
cd "$work"
rm -rf "$out" && mkdir -p "$out"

cosign() { "$peers/cosign" "$@" </dev/null >>cosign.log 2>&1 || { cat cosign.log >&2; return 1; }; }
cosign signing-config create --no-default-fulcio --no-default-oidc --no-default-rekor --no-default-tsa --out offline.json

printf 'a release artifact\n' >"$out/artifact"
printf '{"builder":{"id":"https://builder.example"}}\n' >predicate.json
key() { # KIND
  case $1 in
    ecdsa-p256) openssl ecparam -name prime256v1 -genkey -noout ;;
    ecdsa-p384) openssl ecparam -name secp384r1 -genkey -noout ;;
    ecdsa-p521) openssl ecparam -name secp521r1 -genkey -noout ;;
    ed25519) openssl genpkey -algorithm ed25519 ;;
    rsa-*) openssl genpkey -algorithm rsa -pkeyopt "rsa_keygen_bits:${1#rsa-}" ;;
  esac >"$1.pem" 2>/dev/null
}
for kind in ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 rsa-2048; do
  key "$kind"
  cosign import-key-pair --key "$kind.pem" --output-key-prefix "$kind" --yes
  cp "$kind.pub" "$out/$kind.pub"
  cosign sign-blob --yes --key "$kind.key" --signing-config offline.json --bundle "$out/$kind.sigstore.json" "$out/artifact"
done
cosign attest-blob --yes --key ecdsa-p256.key --signing-config offline.json --type slsaprovenance1 \
  --predicate predicate.json --bundle "$out/attestation.sigstore.json" "$out/artifact"
chmod 644 "$out"/*
