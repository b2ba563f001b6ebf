#!/usr/bin/env python3
"""What quantization takes, beside what `--dry-run` says it will.

  tools/check_plan.py build/cpu/bin/awq MODEL OUTPUT [--memory-limit 1GiB] [-- more options of quantize]
  tools/check_plan.py … --synthetic build/cpu/bin/awq_synthetic --shape llama-3.2-1b     makes MODEL first

Memory is RssAnon + RssShmem of /proc/PID/status, sampled every 10 ms: what the system caches of files is
not counted. Disk is the blocks of OUTPUT.partial, sampled every 50 ms. Time is the clock's; with --cpu
THREADS, for a machine that has other work too, the run's CPU seconds divided by its threads, beside the
least of five plans. Exit status 1 when
memory passes the limit by more than 10 %, or memory, disk or time miss the plan by more than 20 %.
"""
import argparse, json, os, pathlib, re, resource, shutil, subprocess, sys, time

TOLERANCE = 0.20


def anonymous(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return 1024 * sum(int(n) for n in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+)", text, re.M))


def disk(folder):
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except OSError:
                pass
    return total


def bytes_of(text):
    number, unit = re.fullmatch(r"([\d.]+)\s*([KMGT]?i?)B?", text).groups()
    return int(float(number) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit])


def cpu_seconds():
    """Of the processes that have been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def dry_run(command):
    return json.loads(subprocess.run([*command, "--dry-run"], check=True, stdout=subprocess.PIPE, text=True).stdout)


def split(arguments):
    """Those of this script, and those behind "--"."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("awq")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--memory-limit")
    parser.add_argument("--synthetic", help="program that makes MODEL if it is not there")
    parser.add_argument("--shape", default="llama-3.2-1b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--tokenizer", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "models/demo",
                        help="folder whose tokenizer a synthetic model gets")
    parser.add_argument("--runs", type=int, default=1, help="median time of so many")
    parser.add_argument("--cpu", type=int, metavar="THREADS", help="judge CPU seconds / THREADS instead of the clock")
    mine, more = split(sys.argv[1:])
    options = parser.parse_args(mine)
    options.more = more
    if options.synthetic and not options.model.exists():
        command = [options.synthetic, options.shape, options.model, "--bf16"]
        if options.layers:
            command += ["--layers", str(options.layers)]
        subprocess.run(command, check=True)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if (options.tokenizer / name).exists():
                shutil.copy(options.tokenizer / name, options.model / name)
    command = [options.awq, "quantize", options.model, "-o", options.output, "--json", *options.more]
    if options.memory_limit:
        command += ["--memory-limit", options.memory_limit]
    rows = []
    for run in range(options.runs):
        shutil.rmtree(options.output, ignore_errors=True)
        plans = [dry_run(command) for _ in range(5 if options.cpu else 1)]
        plan = min(plans, key=lambda p: p["seconds"])
        cpu = cpu_seconds()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        partial = pathlib.Path(str(options.output) + ".partial")
        memory = room = 0
        began = time.monotonic()
        looked = 0
        while process.poll() is None:
            memory = max(memory, anonymous(process.pid))
            if time.monotonic() - looked > 0.05:
                looked = time.monotonic()
                room = max(room, disk(partial))
            time.sleep(0.01)
        seconds = time.monotonic() - began
        out, err = process.communicate()
        if process.returncode != 0:
            sys.exit(err)
        cpu = cpu_seconds() - cpu
        for line in err.splitlines():
            if "warning" in line:
                print(line)
        rows.append((plan, memory, room, cpu / options.cpu if options.cpu else seconds))
        print(f"run {run + 1}: memory {memory / 1e6:.0f} MB, disk {room / 1e6:.0f} MB, {seconds:.1f} s, CPU {cpu:.1f} s")
    rows.sort(key=lambda row: row[3] / row[0]["seconds"])
    plan, _, room, seconds = rows[len(rows) // 2]
    memory = max(row[1] for row in rows)
    bad = 0
    print(f"{'':8}{'plan':>12}{'measured':>12}{'ratio':>8}")
    for what, planned, found, unit in (("memory", plan["memory_bytes"], memory, 1e6),
                                       ("disk", plan["disk_bytes"], room, 1e6),
                                       ("time", plan["seconds"], seconds, 1)):
        off = abs(found / planned - 1) > TOLERANCE
        bad += off
        print(f"{what:8}{planned / unit:12.1f}{found / unit:12.1f}{found / planned:8.2f}{'  OFF' if off else ''}")
    if options.memory_limit:
        limit = bytes_of(options.memory_limit)
        over = memory > 1.1 * limit
        bad += over
        print(f"limit   {limit / 1e6:12.1f}{memory / 1e6:12.1f}{memory / limit:8.2f}{'  OVER' if over else ''}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
