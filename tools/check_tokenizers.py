"""Compares ids and decoded text with Hugging Face `tokenizers` (or sentencepiece, tiktoken) on more than 4 MB of mixed
text, for the tokenizers of tokenizer_zoo.py and vocabulary_zoo.py and those of folders; with the speed of both on one
thread, in turns.

    .venv-oracle/bin/python tools/check_tokenizers.py build/cpu/bin/awq_tokenize [--text FILE]… [--only NAME]… [--cut BYTES] [FOLDER]…
"""
import argparse
import os
import statistics
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import fuzz_tokenizers  # noqa: E402
import mixed_text  # noqa: E402
from tokenizer_server import Server  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--text", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", default=[], help="names; \"folders\" for those alone")
    parser.add_argument("--cut", type=int, help="bytes of each document, for a library that is slow")
    options = parser.parse_args()
    work, paths, tokenizers = fuzz_tokenizers.load(options.folders, options.only)
    server = Server(options.program, paths)
    documents = [d[:options.cut] for d in mixed_text.documents(options.text)]
    print(f"{sum(map(len, documents)) / 1e6:.2f} MB in {len(documents)} documents")
    bad = 0
    for index, (path, theirs) in enumerate(zip(paths, tokenizers)):
        ids = 0
        differences = []
        ratios = []
        for number, data in enumerate(documents):
            text = data.decode("utf-8", "replace")
            begin = time.perf_counter()
            expected = theirs.encode(text, add_special_tokens=False).ids
            middle = time.perf_counter()
            found = server(index, b"p", data)
            end = time.perf_counter()
            if options.cut or len(data) > 50_000:
                ratios.append((middle - begin) / (end - middle))
            ids += len(expected)
            found = memoryview(found).cast("i").tolist()
            if found != expected:
                at = next(i for i, (a, b) in enumerate(zip(found + [-1], expected + [-2])) if a != b)
                differences.append(f"document {number}, token {at}: {found[at:at + 5]}, theirs {expected[at:at + 5]}")
                continue
            decoded = theirs.decode(expected, skip_special_tokens=True)
            if decoded is not None and decoded != server.decode(index, expected, True):
                differences.append(f"document {number}, decoded")
        bad += bool(differences)
        print(f"{path.name}: {ids} ids, {'DIFFERENT: ' + '; '.join(differences) if differences else 'identical'}; "
              f"{statistics.median(ratios):.1f}x their speed (pipes included), from {min(ratios):.1f} to {max(ratios):.1f}", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
