#!/usr/bin/env bash
# The demonstration: builds the CPU program, quantizes models/demo to 4 bits, compares sizes and
# perplexities, and streams text from the checkpoint that it has just written.
#   scripts/demo.sh [--no-packages]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

awq=build/bin/awq
model=models/demo
text=$model/sample.txt
out=build/demo-awq

# number KEY: the value of a number in the JSON object on stdin.
number() { grep -oE "\"$1\": *[-+.0-9eE]+" | head -n 1 | sed 's/.*: *//'; }
bytes() { cat "$1"/*.safetensors | wc -c; }
evaluate() { "$awq" eval "$1" --text "$text" --json "${@:2}"; }
perplexities() {
  before=$(evaluate "$model") &&
    after=$(evaluate "$out" --against "$model")
}

start=$SECONDS
[ "${1:-}" = --no-packages ] || step "packages" scripts/install_packages.sh
step "build (CPU)" scripts/build.sh release --cuda off
rm -rf "$out"
step "quantize" "$awq" quantize "$model" -o "$out" --max-calib-samples 64
step "inspect" "$awq" inspect "$out"
step "perplexity on $text" perplexities
awk -v b16="$(bytes $model)" -v b4="$(bytes $out)" \
  -v p16="$(number perplexity <<<"$before")" -v p4="$(number perplexity <<<"$after")" \
  -v kld="$(number kld_mean <<<"$after")" -v top1="$(number top1 <<<"$after")" 'BEGIN {
    printf "\n  %-22s %10s %12s\n", "", "MB", "perplexity"
    printf "  %-22s %10.1f %12.3f\n", "before (bf16)", b16 / 1e6, p16
    printf "  %-22s %10.1f %12.3f   %+.2f %%\n", "after (4 bits)", b4 / 1e6, p4, 100 * (p4 / p16 - 1)
    printf "  KL divergence %.4f nats a token, same best token %.1f %%\n\n", kld, 100 * top1
  }'
step "text from the 4-bit checkpoint" "$awq" run "$out" \
  --prompt "The lighthouse was built in" --max-tokens 80 --temperature 0.7 --top-p 0.9 --seed 1
echo "── demo: $((SECONDS - start)) s in all; the checkpoint is in $out"
