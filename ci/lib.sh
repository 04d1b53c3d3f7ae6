# Shared by the shell entry points: messages, the build root, and running commands inside it.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$TOP/build
BUILD_ROOT=$BUILD/root
SUITE=trixie

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(realpath --relative-to="$TOP" "$0")" "$*" >&2; exit 2; }

require_root() { [ "$(id -u)" = 0 ] || die "must run as root: it sets up a build root and mounts it"; }

# require_space MIB: the free space that a cold run needs below build/.
require_space() {
  local free
  free=$(df --output=avail -m "$BUILD" | tail -1)
  [ "$free" -ge "$1" ] || die "$BUILD: $1 MiB of free disk space expected, found $((free)) MiB"
}

# require_memory MIB: what the machine under QEMU and its build need together.
require_memory() {
  local free
  free=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
  [ "$free" -ge "$1" ] || die "$1 MiB of available memory expected, found $free MiB"
}

host_install() {
  local missing=()
  command -v apt-get >/dev/null || die "apt-get not found: a Debian 12 or 13 host is expected"
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing on this host: ${missing[*]}"
  mkdir -p "$BUILD"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >"$BUILD/host-apt.log" 2>&1 ||
    die "apt-get could not install ${missing[*]}: $(grep -m1 '^E:' "$BUILD/host-apt.log" || echo "see build/host-apt.log")"
}

# The suites of the build root, on whatever mirrors this host's own apt uses for Debian.
debian_sources() {
  local site kind uri targets
  targets=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages')
  grep -q '^Debian|Debian|' <<<"$targets" || { apt-get update >/dev/null 2>&1 || true
    targets=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages'); }
  for kind in 'Debian|Debian' 'Debian|Debian-Security'; do
    uri=$(grep -m1 -F "$kind|" <<<"$targets" | cut -d'|' -f3 || true)
    [ -n "$uri" ] || continue
    case $kind in
      *Security) site="$SUITE-security" ;;
      *) site="$SUITE $SUITE-updates" ;;
    esac
    for s in $site; do
      if /usr/lib/apt/apt-helper -o Acquire::Retries=2 download-file "${uri%/}/dists/$s/InRelease" "$BUILD/.inrelease" \
           >/dev/null 2>&1; then
        echo "deb $uri $s main"
      elif [ "$s" = "$SUITE" ]; then
        die "no network to a Debian mirror: ${uri%/}/dists/$s/InRelease, the mirror of this host's apt, does not answer"
      fi
    done
  done
  rm -f "$BUILD/.inrelease"
}

# What the host's apt needs to reach its mirrors (proxies, retries), one --aptopt argument a line.
apt_options() {
  apt-config dump | grep -E '^Acquire::(https?::|Retries|ForceIPv4|Check-Valid-Until)' | grep -v '""' || true
}

# make_build_root [quiet]
make_build_root() {
  local stamp sources tmp opts=() lock
  { mkdir -p "$BUILD" && exec {lock}>"$BUILD/root.lock"; } 2>/dev/null || die "$BUILD: a directory that can be written expected"
  flock "$lock"
  stamp=$(cat "$TOP/ci/packages.list" | sha256sum | cut -d' ' -f1)
  if [ -e "$BUILD_ROOT/.stamp" ] && [ "$(cat "$BUILD_ROOT/.stamp")" = "$stamp" ]; then
    exec {lock}>&-
    return
  fi
  require_space 6000
  host_install mmdebstrap debian-archive-keyring
  sources=$(debian_sources)
  [ -n "$sources" ] || die "this host's apt knows no Debian mirror (apt-get indextargets prints none)"
  while read -r o; do [ -z "$o" ] || opts+=("--aptopt=$o"); done < <(apt_options)
  say "build root: installing $(grep -vc '^#' "$TOP/ci/packages.list") packages of $SUITE and what they need (about 2 minutes)"
  tmp=$BUILD/root.new
  rm -rf --one-file-system "$tmp"
  mmdebstrap --quiet --variant=apt --mode=root "${opts[@]}" --skip=output/dev \
    --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='force-unsafe-io' \
    --include="$(grep -v '^#' "$TOP/ci/packages.list" | paste -sd,)" \
    "$SUITE" "$tmp" - <<<"$sources" 2>&1 | progress_lines "$BUILD/root.log" ||
    die "build root: $(grep -m1 -E '^E: |error' "$BUILD/root.log" || echo failed), see build/root.log"
  echo "$stamp" >"$tmp/.stamp"
  rm -rf --one-file-system "$BUILD_ROOT"
  mv "$tmp" "$BUILD_ROOT"
  exec {lock}>&-
}

# Copies standard input to a log and, on a terminal, shows its last line in place.
progress_lines() {
  if [ -t 2 ]; then
    tee "$1" | while IFS= read -r line; do printf '\r\033[K    %.100s' "$line" >&2; done
    printf '\r\033[K' >&2
  else
    cat >"$1"
  fi
}

# in_root COMMAND…: runs it in the build root, in mount and PID namespaces of its own, so that nothing it
# started or mounted outlives it. The tree is at its own path; the work directory is kept when it is inside.
in_root() {
  local enter=$TOP/ci/enter child status=0
  # unshare ignores signals while its child runs: it dies when this shell does, and with it all that it started.
  BUILD_ROOT=$BUILD_ROOT TOP=$TOP CWD=$PWD setpriv --pdeathsig=KILL \
    unshare --mount --pid --fork --kill-child=KILL --propagation=private "$enter" "$@" <&0 &
  child=$!
  # shellcheck disable=SC2064
  trap "kill -KILL $child 2>/dev/null; exit 143" TERM HUP
  # shellcheck disable=SC2064
  trap "kill -KILL $child 2>/dev/null; echo interrupted >&2; exit 130" INT
  wait "$child" || status=$?
  trap - TERM HUP INT
  return $status
}
