#!/bin/sh
# A small certificate authority in a folder of the control machine. Prints a line for each thing it made;
# silence means that everything was there. Its state is its files, so a step that was cut off is repeated.
#
#   pki.sh ensure  FOLDER AUTHORITY_DAYS DAYS RENEW_DAYS   names on stdin: "name address,address"
#   pki.sh next    FOLDER AUTHORITY_DAYS    a second authority beside the first; both are trusted
#   pki.sh adopt   FOLDER                   the second one signs from now on; both are trusted
#   pki.sh retire  FOLDER                   only the one that signs is trusted
#
# ca.key, ca.pem: who signs. trust.pem: who is trusted. hosts/NAME/node.pem: one identity a host,
# key and certificate in one file, so that no moment has one without the other.
set -eu
umask 077
command=$1 folder=$2
mkdir -p "$folder/hosts"
cd "$folder"

authority() { # NAME DAYS
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days "$2" \
    -subj "/CN=Hakiri cluster authority $(date -u +%Y-%m-%d)-$(openssl rand -hex 4)" \
    -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    -keyout "$1.key.part" -out "$1.pem.part" 2>/dev/null
  mv "$1.key.part" "$1.key"
  mv "$1.pem.part" "$1.pem"
}

trust() { # FILE…
  cat "$@" >trust.pem.part
  mv trust.pem.part trust.pem
}

names_of() { # addresses, as openssl writes them
  echo "$1" | tr ',' '\n' | awk '{ printf "%s%s:%s", sep, (/^[0-9.]+$/ || /:/) ? "IP" : "DNS", $0; sep = "," }'
}

is_good() { # HOST NAMES RENEW_DAYS
  [ -s "hosts/$1/node.pem" ] || return 1
  [ "$(cat "hosts/$1/names" 2>/dev/null)" = "$2" ] || return 1
  openssl verify -CAfile ca.pem "hosts/$1/node.pem" >/dev/null 2>&1 || return 1
  openssl x509 -in "hosts/$1/node.pem" -noout -checkend "$(($3 * 86400))" >/dev/null || return 1
}

issue() { # HOST NAMES DAYS
  mkdir -p "hosts/$1"
  # The names go first and come last: without them the pair counts as not made.
  rm -f "hosts/$1/names"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -subj "/CN=$1" \
    -keyout "hosts/$1/node.key.part" -out "hosts/$1/request.part" 2>/dev/null
  printf '%s\n' "subjectAltName=$2" 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' \
    'extendedKeyUsage=serverAuth,clientAuth' >"hosts/$1/extensions.part"
  openssl x509 -req -sha256 -days "$3" -in "hosts/$1/request.part" -CA ca.pem -CAkey ca.key \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "hosts/$1/extensions.part" -out "hosts/$1/node.pem.part" 2>/dev/null
  cat "hosts/$1/node.pem.part" "hosts/$1/node.key.part" >"hosts/$1/identity.part"
  mv "hosts/$1/identity.part" "hosts/$1/node.pem"
  rm -f "hosts/$1/"*.part
  printf '%s' "$2" >"hosts/$1/names"
  echo "made the certificate of $1"
}

case $command in
ensure)
  if [ ! -s ca.pem ] || [ ! -s ca.key ]; then
    authority ca "$3"
    trust ca.pem
    echo 'made the authority'
  fi
  [ -s trust.pem ] || trust ca.pem
  while read -r host addresses; do
    [ -n "$host" ] || continue
    names=$(names_of "$addresses")
    is_good "$host" "$names" "$5" || issue "$host" "$names" "$4"
  done
  ;;
next)
  # A predecessor that is still trusted means that a rotation is under way already.
  if [ ! -s next.pem ] && [ ! -s former.pem ]; then
    authority next "$3"
    echo 'made the next authority'
  fi
  if [ -s next.pem ]; then trust ca.pem next.pem; fi
  ;;
adopt)
  # The certificate moves last: until then the step counts as not taken.
  if [ -s next.pem ]; then
    cp ca.pem former.pem
    trust former.pem next.pem
    if [ -s next.key ]; then mv next.key ca.key; fi
    mv next.pem ca.pem
    echo 'adopted the next authority'
  fi
  ;;
retire)
  if [ -s former.pem ]; then
    trust ca.pem
    rm former.pem
    echo 'the former authority is trusted no more'
  fi
  ;;
*)
  echo "pki.sh: no such command: $command" >&2
  exit 2
  ;;
esac
