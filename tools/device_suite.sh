#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in stages that can be run apart; each takes less than 8 minutes.
#   tools/device_suite.sh BENCH OUT [verify] [sanitize] [bench]
# BENCH: the program awq_cuda_bench (build/cuda/bin/awq_cuda_bench); OUT: a folder for the results, of which
# bench.json is what docs/results/<gpu>.json holds. Without stages all of them run.
set -euo pipefail
bench=${1:?program awq_cuda_bench}
out=${2:?folder for the results}
shift 2
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(verify sanitize bench)
mkdir -p "$out"
failed=0

# run NAME COMMAND…: output to OUT/NAME.txt, the end of it to stdout.
run() {
  local name=$1
  shift
  if "$@" >"$out/$name.txt" 2>&1; then
    echo "── $name: passed"
  else
    echo "── $name: FAILED ($?)"
    failed=1
  fi
  tail -n 3 "$out/$name.txt"
}

for stage in "${stages[@]}"; do
  case $stage in
    verify) run verify "$bench" verify ;;
    sanitize)
      if command -v compute-sanitizer >/dev/null; then
        run memcheck compute-sanitizer --tool memcheck --error-exitcode 1 "$bench" verify --small
        run racecheck compute-sanitizer --tool racecheck --error-exitcode 1 "$bench" verify --small
      else
        echo "── sanitize: this machine has no compute-sanitizer"
      fi ;;
    bench) run bench "$bench" bench --date "$(date +%F)" --json "$out/bench.json" ;;
    *) echo "unknown stage '$stage'" >&2; exit 2 ;;
  esac
done
exit $failed
