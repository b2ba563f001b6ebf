#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in stages that can be run apart; each takes less than 8 minutes.
#   tools/device_suite.sh BIN OUT [verify] [conformance] [sanitize] [bench] [engine]
# BIN: the folder with awq, awq_synthetic, awq_cuda_bench, awq_cuda_device_test and awq_nn_test (build/cuda/bin); OUT: a
# folder for the results: bench.json is what docs/results/<gpu>.json holds, engine.json what docs/results/<gpu>_engine.json
# does. Without stages all of them run.
set -euo pipefail
bin=${1:?folder with the programs}
bench=$bin/awq_cuda_bench
out=${2:?folder for the results}
shift 2
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(verify conformance sanitize bench engine)
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
    conformance)
      run conformance "$bin/awq_cuda_device_test"
      run goldens "$bin/awq_nn_test" '--gtest_filter=*cuda*:Head.*' ;;
    sanitize)
      if command -v compute-sanitizer >/dev/null; then
        run memcheck compute-sanitizer --tool memcheck --error-exitcode 1 "$bench" verify --small
        run racecheck compute-sanitizer --tool racecheck --error-exitcode 1 "$bench" verify --small
        run memcheck_ops compute-sanitizer --tool memcheck --error-exitcode 1 "$bin/awq_cuda_device_test" \
          '--gtest_filter=*F16*'
      else
        echo "── sanitize: this machine has no compute-sanitizer"
      fi ;;
    bench) run bench "$bench" bench --date "$(date +%F)" --json "$out/bench.json" ;;
    engine)
      model=$(mktemp -d)/llama-3-8b
      run synthetic "$bin/awq_synthetic" llama-3-8b "$model"
      run engine "$bin/awq" bench "$model" --prompt 512,4096 --batch 1,8,32,64 --tokens 40 --json
      grep '^{' "$out/engine.txt" >"$out/engine.json" || failed=1
      rm -rf "$(dirname "$model")" ;;
    *) echo "unknown stage '$stage'" >&2; exit 2 ;;
  esac
done
exit $failed
