#!/bin/sh
# Makes certification authorities, signers below them and revocation lists in the current directory. Its argument is the
# object identifier of the project's purposes.
set -eu
exec 2>pki.log
LAYER=$1.3
POLICY=$1.4

key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:"${2:-P-256}" -out "$1.key"
}

# certificate NAME ISSUER EXTENSIONS [OPTION…]: NAME.pem, signed by ISSUER's key; by its own with ISSUER = NAME.
certificate() {
  name=$1 issuer=$2
  [ -e "$name.key" ] || key "$name"
  printf '%b\n' "$3" >"$name.ext"
  shift 3
  [ $# -gt 0 ] || set -- -days 3650
  openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
  if [ "$issuer" = "$name" ]; then
    openssl x509 -req -in "$name.csr" -signkey "$name.key" -extfile "$name.ext" -out "$name.pem" "$@"
  else
    openssl x509 -req -in "$name.csr" -CA "$issuer.pem" -CAkey "$issuer.key" -extfile "$name.ext" -out "$name.pem" "$@"
  fi
}

IDS='subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid'
CA="basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n$IDS"
LEAF="basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n$IDS"
SIGNER="$LEAF\nextendedKeyUsage=critical,$LAYER"

certificate root root "$CA"
certificate other root "$CA"
certificate middle root "$CA"
certificate short root "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n$IDS"
certificate below-short short "$CA"
certificate no-sign root "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n$IDS"
certificate no-ca root "$LEAF"
certificate mail root "$CA\nextendedKeyUsage=emailProtection"
certificate layers root "$CA\nextendedKeyUsage=$LAYER"
certificate stranger stranger "$CA"
openssl genpkey -algorithm ED25519 -out edwards.key
certificate edwards root "$CA"

above=root
for depth in 1 2 3 4 5 6 7 8 9; do
  certificate "deep$depth" "$above" "$CA"
  above=deep$depth
done
certificate leaf-deep8 deep8 "$SIGNER"
certificate leaf-deep9 deep9 "$SIGNER"

certificate leaf root "$SIGNER"
certificate leaf-middle middle "$SIGNER"
certificate leaf-deep below-short "$SIGNER"
certificate leaf-no-sign no-sign "$SIGNER"
certificate leaf-no-ca no-ca "$SIGNER"
certificate leaf-mail mail "$SIGNER"
certificate leaf-layers layers "$SIGNER"
certificate leaf-edwards edwards "$SIGNER"
certificate leaf-stranger stranger "$SIGNER"
certificate leaf-policy root "$LEAF\nextendedKeyUsage=critical,$POLICY"
certificate leaf-plain-usage root "$LEAF\nextendedKeyUsage=$LAYER"
certificate leaf-usage root "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyAgreement\nextendedKeyUsage=critical,$LAYER\n$IDS"
certificate leaf-no-ids root "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=critical,$LAYER\nauthorityKeyIdentifier=none"
certificate leaf-critical root "$SIGNER\n1.2.3.4=critical,DER:0500"
certificate leaf-old root "$SIGNER" -not_before 20200101000000Z -not_after 20210101000000Z
certificate leaf-future root "$SIGNER" -not_before 20900101000000Z -not_after 20910101000000Z
certificate leaf-revoked root "$SIGNER"
certificate leaf-sha1 root "$SIGNER" -sha1
key leaf-curve P-521
certificate leaf-curve root "$SIGNER"
certificate pinned pinned "$SIGNER"
cp middle.pem middle-revoked.pem

# list NAME CA REVOKED… -- [OPTION…]: the revocation list NAME.crl of CA.
list() {
  name=$1 ca=$2
  shift 2
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s.db\ndefault_md=sha256\nunique_subject=no\n' "$name" >"$name.cnf"
  : >"$name.db"
  while [ "$1" != -- ]; do
    openssl ca -config "$name.cnf" -cert "$ca.pem" -keyfile "$ca.key" -revoke "$1.pem"
    shift
  done
  shift
  [ $# -gt 0 ] || set -- -crldays 3650
  openssl ca -config "$name.cnf" -cert "$ca.pem" -keyfile "$ca.key" -gencrl -out "$name.crl" "$@"
}

# Of several lists of one authority the youngest counts.
list empty root -- -crl_lastupdate 20250101000000Z -crl_nextupdate 20990101000000Z
list revoking root leaf-revoked --
list revoking-middle root middle --
list old root -- -crl_lastupdate 20200101000000Z -crl_nextupdate 20210101000000Z
list future root -- -crl_lastupdate 20900101000000Z -crl_nextupdate 20910101000000Z
list sha1 root -- -md sha1 -crldays 3650
list of-no-sign no-sign --
openssl req -new -x509 -key stranger.key -subj /CN=root -days 10 -addext 'keyUsage=cRLSign' -out impostor.pem
cp stranger.key impostor.key
list forged impostor --
printf '[d]\ndatabase=empty.db\ndefault_md=sha256\ncrl_extensions=x\n[ca]\ndefault_ca=d\n[x]\nissuingDistributionPoint=critical,@y\n[y]\nonlyCA=TRUE\n' >scope.cnf
openssl ca -config scope.cnf -cert root.pem -keyfile root.key -gencrl -crldays 3650 -out scope.crl
