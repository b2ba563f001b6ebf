#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in stages that can be run apart; each takes less than 8 minutes.
#   tools/device_suite.sh BIN OUT [verify] [conformance] [sanitize] [race] [bench] [engine] [models] [dense] [perplexity]
# BIN: the folder with awq, awq_synthetic, awq_cuda_bench, awq_cuda_device_test, awq_nn_test and awq_synthetic_test (build/cuda/bin); OUT: a
# folder for the results: X.json is what docs/results/<gpu>_X.json holds (bench.json: docs/results/<gpu>.json), from which
# tools/make_benchmarks.py makes the tables of docs/benchmarks.md. Without stages all of them run.
#   AWQ_MODEL, AWQ_TEXT, AWQ_WINDOWS: what `perplexity` evaluates (models/demo, its sample.txt, 20 windows)
#   AWQ_SHAPES: those of `models`
#   AWQ_KERNELS: those of `race`, by parts of their names (integer direct1x1 wide64x2 wide256x2 wide64x4; about 40 s each)
set -euo pipefail
bin=${1:?folder with the programs}
bench=$bin/awq_cuda_bench
out=${2:?folder for the results}
root=$(cd "$(dirname "$0")/.." && pwd)
shift 2
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(verify conformance sanitize race bench engine models dense perplexity)
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
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

# synthetic SHAPE [OPTION…]: makes a checkpoint of one layer, $model.
synthetic() {
  rm -rf "$scratch/model"
  model=$scratch/model
  "$bin/awq_synthetic" "$1" "$model" --one-layer "${@:2}" >>"$out/synthetic.txt"
}

# measure STAGE SHAPE OPTION…: `awq bench` of $model; its object joins those of the stage.
measure() {
  local stage=$1 shape=$2 started=$SECONDS
  shift 2
  if "$bin/awq" bench "$model" --same-layers "$@" --json >"$scratch/line" 2>>"$out/$stage.txt"; then
    printf '{"shape": "%s", "options": "%s", "run": %s}\n' "$shape" "$*" "$(cat "$scratch/line")" >>"$scratch/$stage"
    echo "── $stage, $shape $*: $((SECONDS - started)) s"
    grep -o '"name":"[a-z]*","batch":[0-9]*,"tokens":[0-9]*\|"tokens_per_second":[0-9.]*' "$scratch/line" | paste -sd' ' || true
  else
    echo "── $stage, $shape $*: FAILED"
    tail -n 3 "$out/$stage.txt"
    failed=1
  fi
}

# collect STAGE: the objects of a stage as one file.
collect() {
  [ -s "$scratch/$1" ] || return 0
  { printf '{"date": "%s", "runs": [\n' "$(date +%F)"; paste -sd, "$scratch/$1"; printf ']}\n'; } >"$out/$1.json"
}

for stage in "${stages[@]}"; do
  case $stage in
    verify) run verify "$bench" verify ;;
    conformance)
      run conformance "$bin/awq_cuda_device_test"
      run goldens "$bin/awq_nn_test" '--gtest_filter=*cuda*:Head.*'
      run families "$bin/awq_synthetic_test" ;;
    sanitize | race)
      if ! command -v compute-sanitizer >/dev/null; then
        echo "── $stage: this machine has no compute-sanitizer"
      elif [ "$stage" = sanitize ]; then
        run memcheck compute-sanitizer --tool memcheck --error-exitcode 1 "$bench" verify --small
        run memcheck_ops compute-sanitizer --tool memcheck --error-exitcode 1 "$bin/awq_cuda_device_test" \
          '--gtest_filter=*F16*'
      else
        for kernel in ${AWQ_KERNELS:-integer direct1x1 wide64x2 wide256x2 wide64x4}; do
          run "race_$kernel" compute-sanitizer --tool racecheck --error-exitcode 1 "$bench" verify --small --kernel "$kernel"
        done
      fi ;;
    bench) run bench "$bench" bench --date "$(date +%F)" --json "$out/bench.json" ;;
    engine)
      synthetic llama-3-8b
      measure engine llama-3-8b --prompt 512,4096 --batch 1,8,32,64 --tokens 40
      measure engine llama-3-8b --prompt 512 --batch 1,8,32,64 --tokens 40 --head-bits 16
      measure engine llama-3-8b --prompt 512 --batch 32 --ctx 8000 --tokens 40
      measure engine llama-3-8b --prompt 4096 --batch 1,32,64 --tokens 40 --kv-type fp8
      measure engine llama-3-8b --prompt 512 --batch 32 --ctx 8000 --tokens 40 --kv-type fp8
      measure engine llama-3-8b --prompt 512 --batch 32 --ctx 8000,4000,2000,1000,500,250 --tokens 40
      collect engine ;;
    models)
      for shape in ${AWQ_SHAPES:-mistral-7b llama-2-13b llama-2-70b qwen3-30b-a3b mixtral-8x7b deepseek-v2-lite qwen2.5-7b gemma-2-9b}; do
        synthetic "$shape"
        sizes=(--prompt 512 --batch 1,8)
        case $shape in
          qwen3-30b-a3b | mixtral-8x7b) sizes=(--prompt 512,4096 --batch 1,2,8,16,32,64) ;;
          deepseek-v2-lite | qwen2.5-7b | gemma-2-9b) sizes=(--prompt 512,4096 --batch 1,8,32,64) ;;
          mistral-7b | llama-2-13b)  # first, before buffers have grown: memory at 2048 tokens
            measure models "$shape" --prompt 512 --batch 1 --ctx 1984 --tokens 64 --chunk 512 --head-bits 16 ;;
        esac
        measure models "$shape" "${sizes[@]}" --tokens 40
        measure models "$shape" --prompt 512 --batch 1 --tokens 40 --head-bits 16
      done
      collect models ;;
    dense)  # our own 16 bits beside 4
      synthetic llama-3-8b --dense
      measure dense llama-3-8b --prompt 512,4096 --batch 1,8,32,64 --tokens 40
      collect dense ;;
    perplexity)
      model=${AWQ_MODEL:-$root/models/demo}
      run "perplexity_$(basename "$model")" python3 "$root/tools/compare_devices.py" --awq "$bin/awq" --model "$model" \
        --text "${AWQ_TEXT:-$model/sample.txt}" --windows "${AWQ_WINDOWS:-20}" --out "$out/perplexity_$(basename "$model").json" ;;
    *) echo "unknown stage '$stage'" >&2; exit 2 ;;
  esac
done
exit $failed
