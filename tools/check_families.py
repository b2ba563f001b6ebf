#!/usr/bin/env python3
"""Quantizes every tiny checkpoint with `awq quantize` by every method, reads the result back with numpy alone
(check_awq_gemm.py), runs Transformers on it, and compares its perplexity with that of `awq eval`.

    .venv-oracle/bin/python tools/check_families.py --awq build/cpu/bin/awq [--only NAME ...] [--methods rtn awq joint]

A module that holds q, k, v (or gate, up) of the source must hold them in the same order of rows in the output:
Transformers would otherwise compute something else. Each model is measured on three texts, and the least deviation counts:
a wrong order or a lost tensor shows in every text, a tie of experts in some. (DeepSeek's experts outside the chosen groups
score 0 in Transformers; where those inside score less, torch takes one of the others, and not always the first.)
"""

import argparse
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import check_awq_gemm
import oracle_eval

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 5e-4
TEXTS = 3
WORDS = "the keeper of a light counts ships and stars while winter storms pass over his small grey island".split()


def write_tokenizer(folder, vocab):
    """Byte-level, of printable ASCII alone: the tiny models have 128 tokens."""
    ids = {"<pad>": 0, "<s>": 1, "</s>": 2}
    for byte in range(32, 127):
        ids["Ġ" if byte == 32 else chr(byte)] = len(ids)
    assert len(ids) <= vocab
    special = [
        dict(id=i, content=c, special=True, single_word=False, lstrip=False, rstrip=False, normalized=False)
        for c, i in ids.items()
        if i < 3
    ]
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    model = dict(type="BPE", vocab=ids, merges=[], dropout=None, unk_token=None, fuse_unk=False, byte_fallback=False)
    model.update(continuing_subword_prefix=None, end_of_word_suffix=None)
    tokenizer = dict(version="1.0", truncation=None, padding=None, added_tokens=special, normalizer=None)
    tokenizer.update(pre_tokenizer=level, post_processor=None, decoder=level, model=model)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="PreTrainedTokenizerFast")))


def text(words, seed):
    out = []
    for _ in range(words):
        seed = (1103515245 * seed + 12345) % 2**31
        out.append(WORDS[(seed >> 16) % len(WORDS)])
    return " ".join(out) + "."


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def modules(tensors):
    """Names without what follows `experts`: where a source stacks its experts, the output holds each."""
    return {re.sub(r"(\.experts)\..*", r"\1", name) for name in tensors}


def check(awq, source, method, scratch):
    model, out = scratch / "model", scratch / "out"
    shutil.copytree(source, model, ignore=shutil.ignore_patterns("golden.safetensors"))
    config = json.loads((model / "config.json").read_text())
    window = min(64, config.get("max_position_embeddings", 64))
    write_tokenizer(model, config["vocab_size"])
    (scratch / "calib.txt").write_text(text(600, 1))
    quantize = [awq, "quantize", model, "-o", out, "--group-size", 32, "--method", method, "--json"]
    run(*quantize, "--calib", scratch / "calib.txt", "--max-calib-seq-len", window, "--threads", 1)
    tensors = check_awq_gemm.read(out)
    assert modules(tensors) == modules(oracle_eval.read_tensors(source)), "the output has other modules than the source"
    tokenizer = oracle_eval.AutoTokenizer.from_pretrained(out)
    built = oracle_eval.build(out, tensors)
    results = []
    for i in range(TEXTS):
        file = scratch / f"eval{i}.txt"
        file.write_text(text(100, 2 + i))
        ours = run(awq, "eval", out, "--text", file, "--window", window, "--no-bos", "--device", "ref", "--json")
        ids = tokenizer.encode(file.read_text(), add_special_tokens=False)
        theirs = oracle_eval.evaluate(built, oracle_eval.windows(ids, None, window))
        off = ours["perplexity"] / theirs["perplexity"] - 1 if ours["tokens"] == theirs["tokens"] else math.inf
        results.append((abs(off), off, ours["perplexity"], theirs["perplexity"]))
    return sorted(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awq", type=pathlib.Path, default=ROOT / "build" / "cpu" / "bin" / "awq")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--methods", nargs="+", default=["rtn", "awq", "joint"])
    args = parser.parse_args()
    oracle_eval.torch.set_num_threads(1)
    bad = 0
    for source in sorted((ROOT / "testdata" / "tiny").iterdir()):
        if not source.is_dir() or (args.only and source.name not in args.only):
            continue
        for method in args.methods:
            with tempfile.TemporaryDirectory() as scratch:
                results = check(args.awq, source, method, pathlib.Path(scratch))
            least, off, ours, theirs = results[0]
            ok = least <= TOLERANCE
            bad += not ok
            print(
                f"{source.name:22} {method:6} perplexity {ours:12.4f}, Transformers {theirs:12.4f} "
                f"({off * 100:+.4f} %, at most {results[-1][0] * 100:.4f} %) {'ok' if ok else 'BAD'}",
                flush=True,
            )
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
