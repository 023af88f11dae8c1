#!/bin/sh
# Makes every key of this folder anew, with real openssl and real cosign.
# Needs: openssl 3, cosign 3 in $OCISIGN_PEERS (or ~/.cache/ocisign-peers).
# What is committed was made once; a new run makes other keys.
set -eu
cd "$(dirname "$0")"
peers=${OCISIGN_PEERS:-$HOME/.cache/ocisign-peers}
cosign=$peers/cosign
password=ocisign-test
export COSIGN_PASSWORD=$password

make() { # folder, arguments of genpkey
    folder=$1
    shift
    rm -rf "$folder"
    mkdir -p "$folder"
    openssl genpkey -quiet "$@" -out "$folder/key.pem"
    openssl pkey -in "$folder/key.pem" -pubout -out "$folder/key.pub"
}

# Every algorithm that ocisign signs with. RSA of 2048 bits is read, and not made.
make ecdsa-p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
make ecdsa-p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
make ecdsa-p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
make ed25519 -algorithm ED25519
make rsa-2048 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
make rsa-3072 -algorithm RSA -pkeyopt rsa_keygen_bits:3072

encrypted() { # folder, name, arguments of pkcs8 -topk8
    from=$1 name=$2
    shift 2
    openssl pkcs8 -topk8 -in "$from/key.pem" -passout "pass:$password" "$@" -out "$from/$name.pem"
}

# Each way of encrypting that is read, on one algorithm.
p256=ecdsa-p256
encrypted $p256 pkcs8-default
encrypted $p256 pkcs8-scrypt -scrypt
encrypted $p256 pkcs8-aes128-sha1 -v2 aes-128-cbc -v2prf hmacWithSHA1
encrypted $p256 pkcs8-aes192-sha384 -v2 aes-192-cbc -v2prf hmacWithSHA384
encrypted $p256 pkcs8-aes256-sha512 -v2 aes-256-cbc -v2prf hmacWithSHA512 -iter 100000
openssl genpkey -quiet -algorithm ED25519 -aes-256-cbc -pass "pass:$password" -out ed25519/genpkey-encrypted.pem

# The older containers.
openssl ec -in $p256/key.pem -out $p256/sec1.pem 2>/dev/null
openssl ecparam -name prime256v1 -genkey -out $p256/ecparam-genkey.pem
openssl rsa -in rsa-3072/key.pem -traditional -out rsa-3072/pkcs1.pem 2>/dev/null

# cosign's own, under the label of today and the one of before 2.0.
rm -f $p256/cosign-import.*
$cosign import-key-pair --key $p256/key.pem --output-key-prefix $p256/cosign-import >/dev/null 2>&1
mv $p256/cosign-import.key $p256/cosign.pem
rm $p256/cosign-import.pub
sed 's/SIGSTORE PRIVATE/COSIGN PRIVATE/' $p256/cosign.pem > $p256/cosign-old-label.pem

# What is refused, with a reason: weak encryption, other kinds, other forms.
rm -rf refused
mkdir refused
openssl ec -in $p256/key.pem -aes256 -passout "pass:$password" -out refused/traditional-encryption.pem 2>/dev/null
encrypted $p256 ../refused/pkcs8-3des -v2 des3
encrypted $p256 ../refused/pkcs8-iterations -iter 10000001
encrypted $p256 ../refused/pkcs8-scrypt-memory -scrypt -scrypt_N 16384 -scrypt_p 20
openssl genpkey -quiet -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out refused/rsa-pss.pem
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out refused/rsa-1024.pem
openssl genpkey -quiet -algorithm ED448 -out refused/ed448.pem
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out refused/secp256k1.pem
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out refused/explicit-curve.pem
ssh-keygen -q -t ed25519 -N '' -C test -f refused/openssh.pem
rm -f refused/openssh.pem.pub
cp $p256/key.pub refused/public-key.pem
cat $p256/key.pem ed25519/key.pem > refused/two-keys.pem
