"""Writes the tables of docs/benchmarks.md that come from docs/results, between their markers:
    <!-- begin NAME --> … <!-- end NAME -->
A table whose results are not there says so. With --check it changes nothing and fails where a table is not what the results
give. Python's standard library is enough.

    python3 tools/make_benchmarks.py [--check]
"""
import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "results"
GPU = "h200"

# Of issue 6: tokens/s at 512 tokens of context (prefill: at 4096) that memory or arithmetic allow, and what is aimed at.
LIMITS = {("llama-3-8b", "decode", 1): (919, 700), ("mistral-7b", "decode", 1): (1106, 800),
          ("llama-2-13b", "decode", 1): (621, 480), ("llama-2-70b", "decode", 1): (119, 98),
          ("llama-3-8b", "decode", 8): (6557, 3934), ("llama-3-8b", "decode", 32): (19777, 9889),
          ("llama-3-8b", "decode", 64): (29785, 14893), ("llama-3-8b", "prefill", 4096): (52600, 36820)}
MEMORY_TARGETS = {"mistral-7b": 4.4, "llama-2-13b": 8.5}  # GiB
LINEAR_TARGETS = {("qkv8b", 1): 4.5, ("o8b", 1): 3.5, ("gateup8b", 1): 16, ("down8b", 1): 8.5, ("qkv8b", 16): 5.5,
                  ("o8b", 16): 4.5, ("gateup8b", 16): 18, ("down8b", 16): 10, ("gateup8b", 64): 26, ("gateup8b", 128): 50,
                  ("gateup8b", 256): 94}
GIB = 2**30


def load(name):
    path = RESULTS / (GPU + (f"_{name}" if name else "") + ".json")
    return json.loads(path.read_text()) if path.exists() else None


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|"] +
                     ["| " + " | ".join(row) + " |" for row in rows])


def number(value, digits=4):
    """Four digits that count: 567.4, 39 700."""
    text = f"{value:.{max(0, digits - len(str(int(value))))}f}"
    whole, point, rest = text.partition(".")
    if len(whole) > 4:
        whole = whole[:-3] + " " + whole[-3:]
    return whole + point + rest


def percent(value):
    return f"{100 * value:.0f} %"


def option(run, name, default):
    found = re.search(rf"{name} (\S+)", run["options"])
    return found.group(1) if found else default


def describe(run):
    parts = []
    if run["dense"]:
        parts.append("weights in 16 bits")
    parts.append(f"{run['run']['head_bits']}-bit head")
    if option(run, "--kv-type", "auto") != "auto":
        parts.append(f"{option(run, '--kv-type', '')} cache")
    return ", ".join(parts)


def runs(dense=True):
    """All runs of `awq bench` with the date of their stage, those for memory left out."""
    for stage in ["engine", "models"] + (["dense"] if dense else []):
        results = load(stage)
        for run in results["runs"] if results else []:
            yield {**run, "dense": stage == "dense", "date": results["date"]}


def throughput():
    rows = []
    for run in runs():
        if "--chunk" in run["options"]:
            continue
        for r in run["run"]["results"]:
            size = r["batch"] if r["name"] == "decode" else r["tokens"]
            limit, target = None, None
            if not run["dense"] and (r["name"] == "prefill" or r["tokens"] == 512):
                limit, target = LIMITS.get((run["shape"], r["name"], size), (None, None))
            context = option(run, "--ctx", str(r["tokens"])).replace(",", ", ")
            work = f"decode, batch {size}, context {context}" if r["name"] == "decode" else f"prefill, {size}"
            spread = f"{1e3 * r['min_seconds']:.3f}–{1e3 * r['max_seconds']:.3f}"
            rows.append([run["shape"], describe(run), work, number(r["tokens_per_second"]), f"{1e3 * r['median_seconds']:.3f}",
                         spread, number(limit, 0) if limit else "–", percent(r["tokens_per_second"] / limit) if limit else "–",
                         number(target, 0) if target else "–", run["date"]])
    if not rows:
        return None
    return ("`tools/device_suite.sh build/cuda/bin OUT engine models dense`; f16, groups of 128 with zero points, greedy choice on the "
            "device.\n\n" + table(["shape", "kind", "work", "tokens/s", "ms", "least–most", "limit", "share", "target", "date"], rows))


def ratios():
    """Decode and prefill of 4 bits over our own 16 bits."""
    best = {}
    for run in runs():
        if run["shape"] != "llama-3-8b" or option(run, "--kv-type", "auto") != "auto":
            continue
        for r in run["run"]["results"]:
            key = (r["name"], r["batch"], r["tokens"])
            kind = "16 bits" if run["dense"] else describe(run)
            best.setdefault(key, {}).setdefault(kind, r["tokens_per_second"])
    rows = []
    for (name, batch, tokens), found in best.items():
        if "16 bits" not in found or len(found) < 2:
            continue
        work = f"decode, batch {batch}, context {tokens}" if name == "decode" else f"prefill, {tokens}"
        for kind in sorted(found):
            if kind != "16 bits":
                rows.append([work, kind, number(found[kind]), number(found["16 bits"]), f"{found[kind] / found['16 bits']:.2f}×"])
    return table(["Llama-3-8B", "4 bits with", "tokens/s", "16 bits", "ratio"], rows) if rows else None


def memory():
    rows = []
    for run in runs(dense=False):
        if "--chunk" not in run["options"]:
            continue
        for r in run["run"]["results"]:
            if "memory" not in r:
                continue
            m = r["memory"]
            total = sum(m.values()) / GIB
            target = MEMORY_TARGETS.get(run["shape"])
            cached = r["tokens"] + int(option(run, "--tokens", "64"))
            rows.append([run["shape"], f"{cached}"] + [f"{m[part] / GIB:.2f}" for part in ("weights", "kv_cache", "workspace")] +
                        [f"{total:.2f}", f"{target}" if target else "–", f"{run['run']['context_bytes'] / GIB:.2f}", run["date"]])
    if not rows:
        return None
    return ("`tools/device_suite.sh build/cuda/bin OUT models`; batch 1, 16-bit head, the prompt in steps of 512 tokens, GiB.\n\n" +
            table(["shape", "tokens", "weights", "KV cache", "workspace", "together", "target", "GPU context", "date"], rows))


def linears():
    results = load("")
    if results is None:
        return None
    layers = {}
    for m in results["measurements"]:
        if m["name"].startswith("linear_q4/") and m["name"].endswith("/overlap"):
            layers.setdefault(m["name"].split("/")[1], {})[m["m"]] = m
    sizes = sorted({m for of_layer in layers.values() for m in of_layer})
    rows = []
    for layer, found in layers.items():
        n, k = found[sizes[0]]["shape"]
        rows.append([f"{layer} {n}×{k}", "ours"] + [f"{found[m]['median']:.1f}" for m in sizes])
        rows.append(["", "limit"] + [f"{found[m]['limit']:.1f}" for m in sizes])
        rows.append(["", "target"] + [str(LINEAR_TARGETS.get((layer, m), "")) for m in sizes])
        rows.append(["", "cuBLAS fp16"] + [f"{found[m]['baseline_median']:.1f}" for m in sizes])
        rows.append(["", "speedup"] + [f"{found[m]['baseline_median'] / found[m]['median']:.2f}×" for m in sizes])
    return (f"`tools/device_suite.sh build/cuda/bin OUT bench` on {results['date']}: reading {results['read_tbps']:.2f} TB/s, cuBLAS "
            f"{results['fp16_tflops']:.0f} TFLOP/s; µs, launches overlapped, medians.\n\n" +
            table(["layer", "rows of x"] + [str(m) for m in sizes], rows))


def attention():
    results = load("")
    rows = [[m["name"].removeprefix("attention/"), f"{m['limit']:.1f}", f"{m['median']:.1f}",
             f"{m['spread'][0]:.1f}–{m['spread'][1]:.1f}", percent(m["limit"] / m["median"])]
            for m in (results["measurements"] if results else []) if m["name"].startswith("attention/")]
    if not rows:
        return None
    return (f"`tools/device_suite.sh build/cuda/bin OUT bench` on {results['date']}; 32 heads of 128 over 8, µs; limit: keys and values "
            "over the bandwidth, or operations over cuBLAS's rate.\n\n" +
            table(["work", "limit", "median", "least–most", "share"], rows))


def perplexity():
    rows = []
    for path in sorted(RESULTS.glob(f"{GPU}_perplexity_*.json")):
        r = json.loads(path.read_text())
        for row in r["rows"]:
            cache = "" if row["kv_type"] == "auto" else f", {row['kv_type']} cache"
            rows.append([r["model"], f"{r['windows']} windows of {r['text']}", f"{r['cpu_f32']:.5f}", row["dtype"] + cache,
                         f"{row['perplexity']:.5f}", f"{100 * (row['perplexity'] / r['cpu_f32'] - 1):+.4f} %",
                         f"{row['greedy_equal']} of {r['prompts']}"])
    if not rows:
        return None
    return ("`tools/device_suite.sh build/cuda/bin OUT perplexity`.\n\n" +
            table(["model", "text", "CPU, f32", "GPU", "perplexity", "difference", "greedy texts equal"], rows))


TABLES = {"throughput": throughput, "ratios": ratios, "memory": memory, "linears": linears, "attention": attention,
          "perplexity": perplexity}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    before = PAGE.read_text()

    def fill(match):
        name = match.group(1)
        body = TABLES[name]() or "Not measured yet."
        return f"<!-- begin {name} -->\n{body}\n<!-- end {name} -->"

    after = re.sub(r"<!-- begin (\w+) -->\n.*?<!-- end \1 -->", fill, before, flags=re.S)
    missing = [name for name in TABLES if f"<!-- begin {name} -->" not in before]
    if missing:
        sys.exit(f"{PAGE}: no markers for {', '.join(missing)}")
    if args.check:
        if after != before:
            sys.exit(f"{PAGE} is not what docs/results gives: run python3 tools/make_benchmarks.py")
        return
    PAGE.write_text(after)


if __name__ == "__main__":
    main()
