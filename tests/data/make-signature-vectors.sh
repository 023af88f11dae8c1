#!/usr/bin/env bash
# Makes tests/data/signature/*: public keys and signatures as openssl writes
# them, each with what must become of it. The private keys are thrown away.
#
#   tests/data/make-signature-vectors.sh
set -euo pipefail
out=$(cd "$(dirname "$0")" && pwd)/signature
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rm -rf "$out"

ec() { openssl ecparam -name "$1" -genkey -noout; }
pkey() { openssl genpkey -quiet "$@" 2>/dev/null || openssl genpkey "$@" 2>/dev/null; }
rsa() { pkey -algorithm rsa -pkeyopt "rsa_keygen_bits:$1"; }

# CASE EXPECT KEY [dgst options | raw]: signs a message with KEY.pem.
signed() {
  local folder=$out/$1 expect=$2 key=$3; shift 3
  mkdir -p "$folder"
  [ -f "$folder/key.pub" ] || openssl pkey -in "$key.pem" -pubout -out "$folder/key.pub"
  printf 'a message, signed as %s\n' "$key" >"$folder/message"
  if [ "${1:-}" = raw ]; then
    openssl pkeyutl -sign -rawin -inkey "$key.pem" -in "$folder/message" -out sig
  else
    openssl dgst "$@" -sign "$key.pem" -out sig "$folder/message"
  fi
  base64 -w0 sig >"$folder/signature.b64"
  echo "$expect" >"$folder/expect"
}

# CASE EXPECT: a key on stdin that must be refused.
refused() {
  mkdir -p "$out/$1"
  cat >"$out/$1/key.pub"
  echo "refused: $2" >"$out/$1/expect"
}

# CASE: a key in another encoding, on stdin; `signed` then leaves it as it is.
also() {
  mkdir -p "$out/$1"
  cat >"$out/$1/key.pub"
}

for curve in prime256v1 secp384r1 secp521r1; do ec "$curve" >"$curve.pem"; done
signed p256-sha256 ecdsa-p256-sha256 prime256v1 -sha256
signed p384-sha256 ecdsa-p384-sha256 secp384r1 -sha256
signed p384-sha384 ecdsa-p384-sha384 secp384r1 -sha384
signed p521-sha256 ecdsa-p521-sha256 secp521r1 -sha256
signed p521-sha512 ecdsa-p521-sha512 secp521r1 -sha512
signed p256-sha384 invalid prime256v1 -sha384
signed p256-sha1 invalid prime256v1 -sha1
signed p384-sha512 invalid secp384r1 -sha512
signed p521-sha384 invalid secp521r1 -sha384

pkey -algorithm ed25519 >ed25519.pem
signed ed25519 ed25519 ed25519 raw

for bits in 2048 3072 4096 8192; do rsa $bits >rsa$bits.pem; signed rsa$bits rsa-pkcs1-sha256 rsa$bits -sha256; done
signed rsa2048-sha1 invalid rsa2048 -sha1
signed rsa2048-sha512 invalid rsa2048 -sha512
signed rsa2048-pss invalid rsa2048 -sha256 -sigopt rsa_padding_mode:pss
pkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 >rsae3.pem
signed rsa2048-exponent-3 rsa-pkcs1-sha256 rsae3 -sha256

# The same key in another encoding is the same key.
openssl rsa -in rsa2048.pem -RSAPublicKey_out 2>/dev/null | also rsa2048-pkcs1
signed rsa2048-pkcs1 rsa-pkcs1-sha256 rsa2048 -sha256
for curve in prime256v1 secp384r1 secp521r1; do
  openssl ec -in "$curve.pem" -pubout -conv_form compressed 2>/dev/null | also "$curve-compressed"
done
signed prime256v1-compressed ecdsa-p256-sha256 prime256v1 -sha256
signed secp384r1-compressed ecdsa-p384-sha256 secp384r1 -sha256
signed secp521r1-compressed ecdsa-p521-sha256 secp521r1 -sha256
openssl pkey -in prime256v1.pem -pubout | openssl pkey -pubin -text | also text-around
signed text-around ecdsa-p256-sha256 prime256v1 -sha256

# Keys that never count.
openssl ec -in prime256v1.pem -pubout -conv_form hybrid 2>/dev/null | refused hybrid-point point
openssl ec -in prime256v1.pem -pubout -param_enc explicit 2>/dev/null | refused explicit-parameters curve
ec secp256k1 | openssl pkey -pubout | refused secp256k1 curve
pkey -algorithm ed448 | openssl pkey -pubout | refused ed448 'not supported'
pkey -algorithm x25519 | openssl pkey -pubout | refused x25519 'not supported'
pkey -algorithm rsa-pss -pkeyopt rsa_keygen_bits:2048 | openssl pkey -pubout | refused rsa-pss-key 'not supported'
rsa 1024 | openssl pkey -pubout | refused rsa1024 '1024 bits'
rsa 2047 | openssl pkey -pubout | refused rsa2047 '2047 bits'
printf -- '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' | refused private-key 'PRIVATE KEY'
openssl req -x509 -key prime256v1.pem -subj /CN=x -days 1 | refused certificate CERTIFICATE
{ openssl pkey -in prime256v1.pem -pubout; openssl pkey -in ed25519.pem -pubout; } | refused two-keys 'more than one'
openssl pkey -in prime256v1.pem -pubout -outform DER | refused der 'no text'
openssl pkey -in prime256v1.pem -pubout | sed '/END/d' | refused cut 'no end'
printf 'hello\n' | refused no-pem 'no PEM block'
{ echo '-----BEGIN PUBLIC KEY-----'; { openssl pkey -in prime256v1.pem -pubout -outform DER; printf x; } | base64 -w64; echo '-----END PUBLIC KEY-----'; } |
  refused trailing-byte malformed
openssl pkey -in prime256v1.pem -pubout -outform DER >key.der
python3 - <<'PY' | refused off-curve point
import base64
der = bytearray(open("key.der", "rb").read()); der[-1] ^= 1
print("-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der).decode() + "\n-----END PUBLIC KEY-----")
PY
# The identity point of Ed25519: every message has a signature under it.
{ echo '-----BEGIN PUBLIC KEY-----'; { printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00\x01'; head -c31 /dev/zero; } | base64 -w64; echo '-----END PUBLIC KEY-----'; } |
  refused ed25519-identity point
