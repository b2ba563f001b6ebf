"""Quantizes a model by several methods and measures what each cost, on several texts, as one table:
perplexity, KL divergence and top-1 agreement against the source, seconds and peak memory of the run.

    python3 tools/quality_table.py --model MODEL --calib BLOCKS.jsonl --text A.txt B.txt [--work DIR]
        [--awq build/bin/awq] [--methods rtn autoawq awq] [--samples 128] [--max-windows 0] [--rounds 1]

Methods: rtn, autoawq (--autoawq-parity), or any that `awq quantize --method` takes. A folder is measured
as well when given as NAME=DIR, e.g. theirs=/path/to/autoawq-checkpoint. Existing results in DIR are used again.
"""
import argparse
import json
import os
import pathlib
import statistics
import shutil
import subprocess
import time


def run(command):
    """Seconds, peak resident MiB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    err = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{err[-2000:]}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def quantize(args, method, extra):
    out = args.work / method
    stats = args.work / (method + ".json")
    if not stats.exists():
        runs = []
        for _ in range(args.rounds):
            shutil.rmtree(out, ignore_errors=True)
            name = ["--autoawq-parity"] if method == "autoawq" else ["--method", method]
            runs.append(run([args.awq, "quantize", args.model, "-o", out, *name, "--calib", args.calib,
                             "--max-calib-samples", str(args.samples), *extra]))
        seconds, memory = zip(*runs)
        stats.write_text(json.dumps({"seconds": statistics.median(seconds), "mib": max(memory)}))
    return out, json.loads(stats.read_text())


def evaluate(args, folders, text):
    """One result per folder and the reference's perplexity; the reference runs once for all of them."""
    command = [args.awq, "eval", *folders, "--text", text, "--against", args.model, "--json",
               "--max-windows", str(args.max_windows)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awq", type=pathlib.Path, default=pathlib.Path("build/bin/awq"))
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--calib", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--methods", nargs="+", default=["rtn", "autoawq", "awq"])
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--max-windows", type=int, default=0)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/quality"))
    parser.add_argument("--extra", default="", help="further options of `awq quantize`, in one string")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    folders, stats = {}, {}
    for method in args.methods:
        name, _, folder = method.partition("=")
        folders[name], stats[name] = (folder, None) if folder else quantize(args, method, args.extra.split())
        print(f"{name}: {stats[name]}", flush=True)

    cells = {name: [] for name in folders}
    heads = []
    for text in args.text:
        results = evaluate(args, list(folders.values()), text)
        reference = results[0]["reference_perplexity"]
        heads.append(f"{text.stem} (source {reference:.4f})")
        for name, r in zip(folders, results):
            cells[name].append(f"{(r['perplexity'] / reference - 1) * 100:+.2f} % {r['kld_mean']:.5f} {r['top1']:.4f}")
    print("| method | " + " | ".join(heads) + " | seconds | peak MiB |")
    print("|---|" + "---|" * (len(heads) + 2))
    for name in folders:
        s = stats[name]
        cost = f"{s['seconds']:.0f} | {s['mib']:.0f}" if s else " | "
        print(f"| {name} | " + " | ".join(cells[name]) + f" | {cost} |")


if __name__ == "__main__":
    main()
