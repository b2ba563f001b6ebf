#!/usr/bin/env python3
"""AutoAWQ 0.2.9 on a CPU and `awq quantize`, in turns on the first layers of one model and the same blocks:
seconds a layer, by the clock and of the processor, and ratios.

    .venv-oracle/bin/python tools/time_autoawq.py MODEL --calib BLOCKS.jsonl [--awq build/cpu/bin/awq]
        [--layers 2] [--samples 128] [--threads 2] [--rounds 1] [VARIANT ...]

A variant is what `awq quantize --method` takes, or METHOD:EFFORT; default awq and joint. AutoAWQ's time is that
of its quantize(); ours is that of the whole program, loading, writing and joint's pass back through the head
included. Of several rounds the least counts.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent


def cut(model, layers, out):
    """The first layers of the model, in one file."""
    shutil.copytree(model, out, ignore=shutil.ignore_patterns("*.safetensors*", "config.json"))
    config = json.loads((model / "config.json").read_text())
    config["num_hidden_layers"] = layers
    (out / "config.json").write_text(json.dumps(config))
    kept = {}
    for file in sorted(model.glob("*.safetensors")):
        for name, tensor in load_file(file).items():
            parts = name.split(".")
            if "layers" not in parts or int(parts[parts.index("layers") + 1]) < layers:
                kept[name] = tensor
    save_file(kept, out / "model.safetensors", {"format": "pt"})


def run_autoawq(args, model, out):
    """Wall and processor seconds of quantize()."""
    command = [sys.executable, HERE / "make_autoawq.py", model, out, "--calib", args.calib,
               "--max-calib-samples", str(args.samples)]
    threads = {name: str(args.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | threads)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], found["cpu_seconds"]


def run_ours(args, variant, model, out):
    """Wall and processor seconds of the program."""
    method, _, effort = variant.partition(":")
    command = [args.awq, "quantize", model, "-o", out, "--method", method, "--threads", str(args.threads),
               "--calib", args.calib, "--max-calib-samples", str(args.samples), "--no-passport"]
    begin = time.perf_counter()
    process = subprocess.Popen(command + (["--effort", effort] if effort else []), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{variant} failed: {' '.join(map(str, command))}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("variants", nargs="*", default=["awq", "joint"], metavar="VARIANT")
    parser.add_argument("--calib", type=pathlib.Path, required=True, help='JSONL with "tokens"')
    parser.add_argument("--awq", type=pathlib.Path, default=HERE.parent / "build/cpu/bin/awq")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()

    least = {}
    with tempfile.TemporaryDirectory() as work:
        model = pathlib.Path(work) / "model"
        cut(args.model, args.layers, model)
        for _ in range(args.rounds):
            for name in ["AutoAWQ", *args.variants]:
                out = pathlib.Path(work) / "out"
                found = run_autoawq(args, model, out) if name == "AutoAWQ" else run_ours(args, name, model, out)
                shutil.rmtree(out)
                least[name] = tuple(map(min, found, least.get(name, found)))
                print(f"{name}: {found[0]:.1f} s, processor {found[1]:.1f} s", file=sys.stderr, flush=True)
    print(f"{'':10}{'s a layer':>12}{'processor':>12}{'1 /':>8}{'1 /':>8}")
    wall, cpu = least["AutoAWQ"]
    for name, (w, c) in least.items():
        print(f"{name:10}{w / args.layers:12.1f}{c / args.layers:12.1f}{wall / w:8.1f}{cpu / c:8.1f}")


if __name__ == "__main__":
    main()
