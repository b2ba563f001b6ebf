#!/usr/bin/env python3
"""Kills quantization again and again, fills its disk, and compares the bytes that come out.

  tools/check_resume.py build/cpu/bin/awq MODEL [--cycles 60] [--seed 1] [-- more options of quantize]

First a run that nobody disturbs. Then cycles: runs with --resume that are cut off one to three times,
each at a place drawn from all calls that change a file (before it, or half way through it), from the
clock, or by a disk that is full from some call on; then one that may finish. Its output must be that
of the first run, file by file, and nothing may be left beside it. Prints how often each phase was hit.
"""
import argparse, collections, hashlib, os, pathlib, random, shutil, signal, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent


def contents(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def phase(partial, target):
    """Where the last run was cut off."""
    if target.exists():
        return "after the rename"
    journal = partial / "journal.jsonl"
    if not journal.exists():
        return "before the journal"
    units = journal.read_bytes().count(b"\n") - 1
    output = partial / "output"
    if (output / "awq_manifest.json").exists():
        return "manifest"
    if any(output.glob("model*.safetensors")) or any(output.glob("shard-*.partial")):
        return "finishing shards"
    return f"unit {units}" if units >= 0 else "before the journal"


class Runner:
    def __init__(self, options, work):
        self.options = options
        self.work = work
        self.shim = work / "shim.so"
        cc = os.environ.get("CC", "cc")
        subprocess.run([cc, "-O1", "-shared", "-fPIC", "-o", self.shim, HERE / "faults/shim.c", "-ldl"],
                       check=True)

    def start(self, output, fault=None, resume=True):
        env = dict(os.environ)
        if fault:
            env.update(LD_PRELOAD=str(self.shim), AWQ_FAULT=fault,
                       AWQ_FAULT_COUNT=str(self.work / "count"))
        command = [self.options.awq, "quantize", self.options.model, "-o", output, "--threads",
                   str(self.options.threads), *self.options.more]
        if resume:
            command.append("--resume")
        return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True)

    def run(self, *args, **kwargs):
        process = self.start(*args, **kwargs)
        err = process.communicate()[1]
        return process.returncode, err


def split(arguments):
    """Those of this script, and those behind "--"."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("awq")
    parser.add_argument("model")
    parser.add_argument("--cycles", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", help="folder for outputs (default: a temporary one)")
    mine, more = split(sys.argv[1:])
    options = parser.parse_args(mine)
    options.more = more
    rng = random.Random(options.seed)
    work = pathlib.Path(tempfile.mkdtemp(prefix="awq-resume-", dir=options.work))
    try:
        runner = Runner(options, work)
        reference = work / "reference"
        began = time.time()
        status, err = runner.run(reference, fault="count:0", resume=False)
        seconds = time.time() - began
        if status != 0:
            sys.exit(f"the undisturbed run failed ({status}): {err}")
        expected = contents(reference)
        calls = int((work / "count").read_text())
        print(f"undisturbed: {seconds:.1f} s, {calls} calls that change files, {len(expected)} files")

        phases = collections.Counter()
        kinds = collections.Counter()
        bad = 0
        for cycle in range(options.cycles):
            output = work / "q"
            partial = work / "q.partial"
            story = []
            for _ in range(rng.randint(1, 3)):
                kind = rng.choice(["kill", "torn", "clock", "full", "signal"])
                if kind in ("clock", "signal"):
                    process = runner.start(output)
                    time.sleep(rng.random() * seconds)
                    process.send_signal(signal.SIGKILL if kind == "clock" else rng.choice([signal.SIGINT, signal.SIGTERM]))
                    err = process.communicate()[1]
                    status = process.returncode
                else:
                    status, err = runner.run(output, fault=f"{kind}:{rng.randint(1, calls)}")
                story.append(f"{kind} ({phase(partial, output)}): {status}")
                kinds[kind] += 1
                phases[phase(partial, output) if status else "not hit"] += 1
                allowed = {"kill": (0, -9), "torn": (0, -9), "clock": (0, -9), "full": (0, 6), "signal": (0, 75)}[kind]
                last = err.strip().splitlines()[-1] if err.strip() else ""
                if kind == "signal" and status == -signal.SIGTERM or status == -signal.SIGINT:
                    allowed = (status,)  # before the handler was installed
                if status not in allowed or (status == 6 and "No space left" not in last):
                    print(f"cycle {cycle}: {story}: unexpected status or message: {last}")
                    bad += 1
                if status == 0:
                    break
            status, err = runner.run(output)
            if status != 0:
                print(f"cycle {cycle}: {story}: cannot resume ({status}): {err.strip().splitlines()[-1:]}")
                bad += 1
            elif contents(output) != expected:
                different = sorted(k for k in {**expected, **contents(output)}
                                   if expected.get(k) != contents(output).get(k))
                print(f"cycle {cycle}: {story}: different: {different}")
                bad += 1
            elif partial.exists():
                print(f"cycle {cycle}: {story}: {partial} is left behind")
                bad += 1
            for folder in (output, partial):
                shutil.rmtree(folder, ignore_errors=True)
            if (cycle + 1) % 10 == 0:
                print(f"{cycle + 1} cycles, {bad} problems", flush=True)
        print("faults: " + ", ".join(f"{k} {n}" for k, n in sorted(kinds.items())))
        print("cut off in: " + ", ".join(f"{k} {n}" for k, n in sorted(phases.items())))
        print(f"{options.cycles} cycles, {bad} problems")
        sys.exit(1 if bad else 0)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
