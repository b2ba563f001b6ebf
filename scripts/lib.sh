# shellcheck shell=bash
# Shared by the scripts of this folder: the repository's root, messages, timed steps.
export LC_ALL=C.UTF-8  # numbers with a point, whatever the language
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { echo "${0##*/}: $*" >&2; exit 1; }

# step LABEL COMMAND…: runs it and prints how long it took. A failing command ends the script.
step() {
  local label=$1 start=$EPOCHREALTIME status=0
  shift
  echo "── $label"
  "$@" || status=$?
  awk -v a="$start" -v b="$EPOCHREALTIME" -v label="$label" -v status="$status" \
    'BEGIN { printf "── %s: %.1f s%s\n", label, b - a, status ? " (failed)" : "" }'
  [ "$status" = 0 ] || exit "$status"
}

# CUDA's usual place is often not on the PATH.
PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin

has() { command -v "$1" >/dev/null 2>&1; }

# sources PATTERN…: the C++ and CUDA sources whose names match one of them, NUL-separated.
sources() {
  local names=() pattern
  for pattern in "$@"; do names+=(-o -name "$pattern"); done
  (cd "$root" && find $(ls -d awq examples 2>/dev/null) -type f \( "${names[@]:1}" \) -print0)
}
