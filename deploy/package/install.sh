#!/bin/sh
# Puts a Hakiri program in place, once its checksum is the one that SHA256SUMS names.
#
#   sh install.sh --from FOLDER-OR-URL [--profile full] [--to /usr/local/bin/hakiri]
#
# --from names where the files of a release are: a folder (a copy on a host without internet), or an
# https address below which they can be fetched. SHA256SUMS has to lie beside the program; give
# --sums FILE for one that came another way. `hakiri install coord|worker` makes a service of it afterwards.
set -eu

profile=full from= to=/usr/local/bin/hakiri sums=

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}

while [ $# -gt 0 ]; do
  case $1 in
    --from | --profile | --to | --sums)
      [ $# -ge 2 ] || fail "$1 needs a value" 2
      case $1 in
        --from) from=$2 ;;
        --profile) profile=$2 ;;
        --to) to=$2 ;;
        --sums) sums=$2 ;;
      esac
      shift 2
      ;;
    -h | --help)
      sed -n '2,9s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) fail "unknown option $1; see --help" 2 ;;
  esac
done

[ -n "$from" ] || fail 'say with --from where the files are: a folder or an https address' 2
case $profile in coord | core | full) ;; *) fail "no profile $profile: there is coord, core, full" 2 ;; esac
[ "$(uname -s)" = Linux ] || fail "there is no program for $(uname -s)" 3
case $(uname -m) in
  x86_64 | amd64) target=linux-x64 ;;
  aarch64 | arm64) target=linux-arm64 ;;
  *) fail "there is no program for $(uname -m)" 3 ;;
esac
command -v sha256sum >/dev/null || fail 'sha256sum is missing' 3

name=hakiri-$profile-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# fetch NAME: from the folder or the address, into $work.
fetch() {
  case $from in
    https://*)
      if command -v curl >/dev/null; then
        curl --proto '=https' --fail --silent --show-error --location --retry 3 --output "$work/$1" "$from/$1"
      elif command -v wget >/dev/null; then
        wget --https-only --quiet --tries=3 --output-document="$work/$1" "$from/$1"
      else
        fail 'neither curl nor wget is here; copy the files and name their folder with --from' 3
      fi
      ;;
    http://*) fail 'plain http can be changed on the way; use https or a folder' 2 ;;
    *) cp "$from/$1" "$work/$1" ;;
  esac
}

if [ -n "$sums" ]; then cp "$sums" "$work/SHA256SUMS"; else fetch SHA256SUMS || fail 'there is no SHA256SUMS' 3; fi
line=$(grep "  $name\$" "$work/SHA256SUMS") || fail "SHA256SUMS does not name $name" 3
fetch "$name" || fail "there is no $name" 3
(cd "$work" && printf '%s\n' "$line" | sha256sum --check --status) ||
  fail "the checksum of $name is not the one in SHA256SUMS: nothing was installed" 3

mkdir -p "$(dirname "$to")"
# Beside its place and moved there in one step: at no moment is there half a program.
cp "$work/$name" "$to.new"
chmod 0755 "$to.new"
sync "$to.new" 2>/dev/null || sync
mv -f "$to.new" "$to"
printf 'hakiri %s is in %s\n' "$("$to" --version)" "$to"
printf 'next: sudo %s install coord|worker, or: %s init my-project\n' "$to" "$to"
