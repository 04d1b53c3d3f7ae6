# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the benches, after ci/lib.sh: into the build root, with the packages that they need there.

# bench_enter NAME MIB_OF_MEMORY MIB_OF_SPACE [ARGUMENT…]: outside the build root, runs the bench inside and exits.
bench_enter() {
  local name=$1 memory=$2 space=$3 plots='' arguments=() status=0
  shift 3
  [ ! -e /.stamp ] || return 0
  require_root
  mkdir -p "$BUILD"
  require_memory "$memory"
  require_space "$space"
  # Outside the tree the build root shows nothing of the host: plots are drawn inside and moved.
  while [ $# -gt 0 ]; do
    case $1 in
      --plots=*) plots=${1#*=} ;;
      --plots) plots=${2:?--plots: a directory expected}; shift ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
  "$TOP/ci/shell" "$TOP/tests/bench/$name" "${arguments[@]}" ${plots:+--plots="$BUILD/bench/plots"} || status=$?
  if [ -n "$plots" ] && [ $status -lt 2 ]; then
    mkdir -p "$plots"
    cp "$BUILD"/bench/plots/*.png "$plots/"
  fi
  exit $status
}

bench_packages() {
  local missing=() names p
  mapfile -t names < <(grep -v '^#' "$TOP/tests/bench/packages.list")
  for p in "${names[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing in the build root: ${missing[*]}"
  mkdir -p "$BUILD/bench"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
    2>&1 | progress_lines "$BUILD/bench/apt.log" ||
    die "apt-get could not install ${missing[*]}: $(grep -m1 '^E:' "$BUILD/bench/apt.log" || echo "see build/bench/apt.log")"
}
