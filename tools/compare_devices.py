"""Compares a model on a device with the same model in f32 on the CPU: perplexity of the first windows of a text, and
greedy texts. Prints a row each, and with --out one JSON object. Fails where perplexity is off by more than .1 % or a greedy text
is another one.

    python3 tools/compare_devices.py --awq build/cuda/bin/awq --model models/demo --text models/demo/sample.txt
"""
import argparse
import json
import pathlib
import subprocess
import sys

TOLERANCE = 0.001
# An E4M3 cache is an approximation: its row is a measurement, not a check.
VARIANTS = [("f32", "auto", True), ("f16", "auto", True), ("bf16", "auto", True), ("f16", "fp8", False)]
PROMPTS = ["The history of", "In the beginning", "Once upon a time there was", "The following table shows"]


def run(args, *command):
    out = subprocess.run([args.awq, *command, "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def perplexity(args, device, dtype, kv_type):
    return run(args, "eval", args.model, "--text", args.text, "--max-windows", str(args.windows), "--device", device,
               "--dtype", dtype, "--kv-type", kv_type)["perplexity"]


def greedy(args, prompt, device, dtype, kv_type):
    return run(args, "run", args.model, "-p", prompt, "-n", "48", "--temperature", "0", "--ignore-eos", "--device", device,
               "--dtype", dtype, "--kv-type", kv_type)["tokens"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awq", default="build/cuda/bin/awq")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    golden = args.model / "golden.json"
    prompts = [p["prompt"] for p in json.loads(golden.read_text())["prompts"]] if golden.exists() else PROMPTS

    expected = perplexity(args, "cpu", "f32", "auto")
    texts = [greedy(args, p, "cpu", "f32", "auto") for p in prompts]
    print(f"cpu f32: perplexity {expected:.5f}, {args.windows} windows of {args.text.name}")
    bad = 0
    rows = []
    for dtype, kv_type, checked in VARIANTS:
        found = perplexity(args, args.device, dtype, kv_type)
        equal = 0
        for prompt, want in zip(prompts, texts):
            ids = greedy(args, prompt, args.device, dtype, kv_type)
            if ids == want:
                equal += 1
                continue
            at = next(i for i, (a, b) in enumerate(zip(ids + [-1], want + [-2])) if a != b)
            print(f"  {prompt!r}: another token from {at} on")
        off = found / expected - 1
        ok = not checked or (abs(off) <= TOLERANCE and equal == len(prompts))
        bad += not ok
        name = dtype if kv_type == "auto" else f"{dtype}, cache {kv_type}"
        print(f"{args.device} {name}: perplexity {found:.5f} ({100 * off:+.4f} %), greedy texts {equal} of {len(prompts)} equal "
              f"{'ok' if ok else 'BAD'}", flush=True)
        rows.append({"dtype": dtype, "kv_type": kv_type, "perplexity": found, "greedy_equal": equal, "ok": ok})
    if args.out:
        args.out.write_text(json.dumps({"model": args.model.name, "text": args.text.name, "windows": args.windows,
                                        "device": args.device, "cpu_f32": expected, "prompts": len(prompts),
                                        "rows": rows}, indent=1) + "\n")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
