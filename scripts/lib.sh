# Shared by the scripts of this folder: the repository's root, messages, timed steps.
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

has() { command -v "$1" >/dev/null 2>&1; }

# C++ and CUDA sources: tracked ones and new ones, not ignored ones. NUL-separated.
sources() {
  (cd "$root" && git ls-files -zco --exclude-standard --deduplicate -- "$@" |
    while IFS= read -r -d '' f; do [ -e "$f" ] && printf '%s\0' "$f"; done)
}
