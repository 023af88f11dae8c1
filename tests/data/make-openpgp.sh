#!/usr/bin/env bash
# Makes tests/data/openpgp with gpg 2.2: keys, and signatures by them over
# `content`. Run from the root of the project; needs gpg and nothing else.
#
#   solo       Ed25519, signs itself; password `test`
#   rsa      RSA 3072, certifies only; its subkey (RSA 3072) signs
#   nist     P-384
#   expired  expires on 2024-03-01, and signed in January and in June
#   lost     revoked in June, for no stated reason
#   retired  revoked in June, because it is retired
set -euo pipefail
cd tests/data/openpgp
out=$PWD
GNUPGHOME=$(mktemp -d); export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
at() { # TIME ARGUMENTS…
  local time=$1; shift
  gpg --batch --yes --quiet --pinentry-mode loopback --faked-system-time "$time!" "$@"
}
january=20240110T000000 june=20240610T000000

printf 'what is signed\n' >content
make() { # NAME ALGORITHM USAGE PASSWORD
  at 20240101T000000 --passphrase "$4" --quick-generate-key "$1 <$1@example.test>" "$2" "$3" never
}
print() { gpg --batch --with-colons --list-keys "$1@example.test" | awk -F: '$1 == "fpr" { print $10; exit }'; }
make solo ed25519 sign test
make rsa rsa3072 cert ''
at 20240101T000000 --passphrase '' --quick-add-key "$(print rsa)" rsa3072 sign never
make nist nistp384 sign ''
for name in expired lost retired other; do make "$name" ed25519 sign ''; done

sign() { # NAME TIME FILE ARGUMENTS…
  local name=$1 time=$2 file=$3; shift 3
  at "$time" --passphrase "$([ "$name" != solo ] || echo test)" -u "$name@example.test" --output "$file" "$@" content
}
for name in solo rsa nist; do sign "$name" $january "$name.asc" --armor --detach-sign; done
sign solo $january solo.sig --detach-sign
sign solo $january solo.gpg --sign
sign rsa $january rsa.message.asc --armor --compress-algo none --sign
sign rsa $january limited.asc --armor --default-sig-expire 30d --detach-sign
sign solo $january clear.asc --clearsign
sign rsa $january sha1.asc --armor --digest-algo SHA1 --detach-sign
sign solo $january text.asc --armor --textmode --detach-sign
sign rsa $january notation.asc --armor --sig-notation '!of@example.test=1' --detach-sign
for name in expired lost retired; do
  sign "$name" $january "$name-january.asc" --armor --detach-sign
  sign "$name" $june "$name-june.asc" --armor --detach-sign
done
at 20240115T000000 --passphrase '' --quick-set-expire "$(print expired)" 20240301T000000
revoke() { # NAME REASON
  printf 'y\n%s\n\ny\n' "$2" | gpg --quiet --pinentry-mode loopback --passphrase '' --no-tty \
    --faked-system-time 20240601T000000! --command-fd 0 --output "$GNUPGHOME/$1.rev" --gen-revoke "$1@example.test"
  at $june --import "$GNUPGHOME/$1.rev"
}
revoke lost 0
revoke retired 3

for name in solo rsa nist expired lost retired other; do
  at $june --armor --export "$name@example.test" >"$name.pub.asc"
done
at $june --export solo@example.test >solo.pub.gpg
at $june --passphrase test --armor --export-secret-keys solo@example.test >solo.sec.asc
for name in rsa nist; do at $june --passphrase '' --armor --export-secret-keys "$name@example.test" >"$name.sec.asc"; done
# the primary key's secret is left out, as people keep theirs
at $june --passphrase '' --armor --export-secret-subkeys rsa@example.test >rsa.sub.asc
# no secret at all is in this one, as in the export of a key on a card
at $june --armor --export-secret-subkeys nist@example.test >nist.none.asc
cat rsa.pub.asc solo.pub.asc >all.pub.asc
# the keys of policies/openpgp.json, which names lea's fingerprint
cp rsa.pub.asc ../../../keys-test/openpgp/lea.pub.asc
cp nist.pub.asc ../../../keys-test/openpgp/sam.pub.asc
ls "$out" >/dev/null
