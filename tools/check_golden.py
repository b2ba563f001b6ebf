"""Checks `awq run` and `awq eval` against a model's golden.json: greedy texts and perplexities that
Transformers computed in f32. Differences of greedy texts are reported with the token where they begin.

    python3 tools/check_golden.py --awq build/bin/awq --model MODEL [--text-dir DIR] [--files a.txt …] [--plain]
"""
import argparse
import json
import pathlib
import subprocess
import sys

TOLERANCE = 0.0005


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awq", default="build/bin/awq")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--text-dir", type=pathlib.Path)
    parser.add_argument("--files", nargs="*")
    parser.add_argument("--plain", action="store_true", help="check plain windows as well")
    args = parser.parse_args()
    golden = json.loads((args.model / "golden.json").read_text())
    bad = 0

    same = 0
    for prompt in golden["prompts"]:
        out = subprocess.run([args.awq, "run", args.model, "-p", prompt["prompt"], "-n", "48", "--temperature", "0",
                              "--ignore-eos", "--json"], check=True, capture_output=True, text=True).stdout
        ids = json.loads(out)["tokens"]
        if ids == prompt["greedy_ids"]:
            same += 1
            continue
        at = next(i for i, (a, b) in enumerate(zip(ids + [-1], prompt["greedy_ids"] + [-2])) if a != b)
        print(f"greedy, {prompt['prompt']!r}: differs from token {at} on")
        bad += 1
    print(f"greedy texts: {same} of {len(golden['prompts'])} equal")

    if args.text_dir:
        for name, expected in golden["perplexity"].items():
            if args.files and name not in args.files:
                continue
            for protocol in ["bos", "plain"] if args.plain else ["bos"]:
                flag = "--bos" if protocol == "bos" else "--no-bos"
                out = subprocess.run([args.awq, "eval", args.model, "--text", args.text_dir / name, "--json", flag],
                                     check=True, capture_output=True, text=True).stdout
                r = json.loads(out)
                want = expected["ppl_" + protocol]
                off = r["perplexity"] / want - 1
                ok = abs(off) <= TOLERANCE and r["tokens"] == expected["scored_" + protocol]
                bad += not ok
                print(f"{name} {protocol}: {r['perplexity']:.4f}, expected {want:.4f} ({off * 100:+.4f} %), "
                      f"{r['tokens']} tokens, {r['seconds']:.0f} s {'ok' if ok else 'BAD'}", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
