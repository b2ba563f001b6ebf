"""Quantizes a model in several ways and measures what each cost, on several texts, as one table: change of
perplexity, mean KL divergence and top-1 agreement against the source, time and peak memory of the run.

    python3 tools/quality_table.py --model MODEL --calib BLOCKS.jsonl --text A.txt B.txt [--work DIR]
        [--awq build/bin/awq] [--samples 128] [--max-windows 0] [--rounds 1] [--issue | --methods VARIANT ...]

A variant is a method and options joined by colons:
    rtn, awq, gptq, joint     what `awq quantize --method` takes; autoawq is --autoawq-parity
    :N                        calibrated on N blocks instead of --samples
    :sym                      symmetric, written as compressed-tensors
    :gN                       groups of N (-1: one a row)
    :eN                       --effort N
    :seedN                    on blocks drawn from the whole file by that seed instead of the first
e.g. joint:620:sym:e3. A folder is measured as well when given as NAME=DIR, e.g. theirs=/path/to/checkpoint.
--issue stands for the table of docs/quality.md: every method, all blocks, symmetric, and three seeds, whose
standard deviation is printed below the table. Results in DIR are used again.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import time

SEEDS = [1, 2, 3]
ISSUE = (["rtn", "awq", "gptq", "joint", "joint:620", "joint:620:e3", "joint:sym"]
         + [f"{method}:seed{s}" for method in ("awq", "joint") for s in SEEDS])


def run(command):
    """Seconds, CPU seconds, peak resident MiB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    err = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{err[-2000:]}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def draw_blocks(args, samples, seed):
    """A file of `samples` blocks of the calibration file, drawn by the seed."""
    path = args.work / f"blocks-{samples}-{seed}.jsonl"
    if not path.exists():
        lines = [line for line in args.calib.read_text().splitlines() if line.strip()]
        path.write_text("\n".join(random.Random(seed).sample(lines, min(samples, len(lines)))) + "\n")
    return path


def quantize_command(args, variant, out):
    method, *options = variant.split(":")
    command = [args.awq, "quantize", args.model, "-o", out]
    command += ["--autoawq-parity"] if method == "autoawq" else ["--method", method]
    samples, calib, seed = args.samples, args.calib, None
    for option in options:
        if option.isdigit():
            samples = int(option)
        elif option == "sym":
            command += ["--format", "compressed-tensors", "--no-zero-point"]
        elif option.startswith("seed"):
            seed = int(option[4:])
        elif option.startswith("g"):
            command += ["--group-size", option[1:]]
        elif option.startswith("e"):
            command += ["--effort", option[1:]]
        else:
            raise SystemExit(f"{variant}: unknown option '{option}'")
    if seed is not None:
        calib = draw_blocks(args, samples, seed)
    return command + ["--calib", calib, "--max-calib-samples", str(samples), *args.extra.split()]


def quantize(args, variant):
    out = args.work / variant
    stats = args.work / (variant + ".json")
    if not stats.exists():
        runs = []
        for _ in range(args.rounds):
            shutil.rmtree(out, ignore_errors=True)
            runs.append(run(quantize_command(args, variant, out)))
        seconds, cpu, memory = zip(*runs)
        stats.write_text(json.dumps({"seconds": statistics.median(seconds), "cpu": statistics.median(cpu),
                                     "mib": max(memory)}))
    return out, json.loads(stats.read_text())


def evaluate(args, folders, text):
    """A result for each name; the reference runs once for all that are not known yet."""
    cache = {n: args.work / f"{n}.{text.stem}.{args.max_windows}.eval.json" for n in folders}
    missing = [n for n in folders if not cache[n].exists()]
    if missing:
        command = [args.awq, "eval", *[folders[n] for n in missing], "--text", text, "--against", args.model,
                   "--json", "--max-windows", str(args.max_windows)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        for name, line in zip(missing, lines, strict=True):
            cache[name].write_text(line)
    return {n: json.loads(path.read_text()) for n, path in cache.items()}


def change(result):
    return (result["perplexity"] / result["reference_perplexity"] - 1) * 100


def print_table(texts, results, stats):
    heads = [f"{t.stem} (source {next(iter(results[t].values()))['reference_perplexity']:.4f})" for t in texts]
    print("| method | " + " | ".join(heads) + " | seconds | CPU seconds | peak MiB |")
    print("|---|" + "---|" * (len(heads) + 3))
    for name, s in stats.items():
        cells = [f"{change(r):+.2f} % {r['kld_mean']:.5f} {r['top1']:.4f}" for r in (results[t][name] for t in texts)]
        cost = f"{s['seconds']:.0f} | {s['cpu']:.0f} | {s['mib']:.0f}" if s else " | | "
        print(f"| {name} | " + " | ".join(cells) + f" | {cost} |")


def print_noise(texts, results, names):
    """Standard deviation over the seeds of each method that was run with several."""
    groups = {}
    for name in names:
        head, _, seed = name.rpartition(":seed")
        if seed.isdigit():
            groups.setdefault(head, []).append(name)
    for head, members in groups.items():
        if len(members) < 2:
            continue
        cells = []
        for t in texts:
            klds = [results[t][m]["kld_mean"] for m in members]
            changes = [change(results[t][m]) for m in members]
            cells.append(f"{t.stem} {statistics.mean(klds):.5f} ± {statistics.stdev(klds):.5f}, "
                         f"{statistics.mean(changes):+.2f} ± {statistics.stdev(changes):.2f} %")
        print(f"\n{head}, {len(members)} seeds, mean ± standard deviation: " + "; ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awq", type=pathlib.Path, default=pathlib.Path("build/bin/awq"))
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--calib", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--methods", nargs="+", default=["rtn", "awq", "joint"], metavar="VARIANT")
    parser.add_argument("--issue", action="store_true")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=1, help="runs of each; the median counts")
    parser.add_argument("--max-windows", type=int, default=0, help="of each text; 0: all")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/quality"))
    parser.add_argument("--extra", default="", help="further options of `awq quantize`, in one string")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    folders, stats = {}, {}
    for variant in ISSUE if args.issue else args.methods:
        name, _, folder = variant.partition("=")
        folders[name], stats[name] = (folder, None) if folder else quantize(args, variant)
        print(f"{name}: {stats[name]}", flush=True)
    results = {t: evaluate(args, folders, t) for t in args.text}
    print_table(args.text, results, stats)
    print_noise(args.text, results, list(folders))


if __name__ == "__main__":
    main()
