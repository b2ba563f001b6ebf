"""Compares awq's token ids of whole files with those of Hugging Face `tokenizers`, and the time of both on
one thread, in turns.

    .venv-oracle/bin/python tools/check_tokenizer.py build/release/awq/text/awq_tokenize MODEL_DIR TEXT...
"""
import json
import os
import pathlib
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

ROUNDS = 5


def main():
    program, folder, *files = sys.argv[1:]
    tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    bad = 0
    for file in files:
        text = pathlib.Path(file).read_bytes().decode("utf-8", "replace")
        ratios = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            theirs = tokenizer.encode(text, add_special_tokens=False).ids
            their_seconds = time.perf_counter() - begin
            run = subprocess.run([program, folder, file], capture_output=True, text=True, check=True)
            ours = [int(line) for line in run.stdout.split()]
            report = json.loads(run.stderr)
            ratios.append(their_seconds / report["encode"])
        same = ours == theirs
        bad += not same
        where = "" if same else f", first difference at token {next(i for i, (a, b) in enumerate(zip(ours + [-1], theirs + [-2])) if a != b)}"
        print(f"{file}: {len(theirs)} ids {'identical' if same else 'DIFFERENT'}{where}, round trip {report['round_trip']}, "
              f"load {report['load'] * 1e3:.1f} ms, encoding {len(text.encode()) / report['encode'] / 1e6:.1f} MB/s, "
              f"{sorted(ratios)[ROUNDS // 2]:.2f}x Hugging Face's speed")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
