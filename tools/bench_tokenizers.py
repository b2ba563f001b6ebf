"""Speed on one thread against Hugging Face `tokenizers`, in turns, for every kind of model, trained on the texts given;
and loading a synthetic tokenizer.json of 128 k tokens: time and memory.

    .venv-oracle/bin/python tools/bench_tokenizers.py build/cpu/bin/awq_tokenize TEXT…
"""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizer_zoo import BYTES, LLAMA3, LLAMA_DECODER, pipeline, split  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

ROUNDS = 5
VOCAB = 8000


def kinds(text):
    def train(tokenizer, trainer, **options):
        tokenizer.train_from_iterator([text], trainer(vocab_size=VOCAB, show_progress=False, **options))
        return tokenizer

    byte_level = train(pipeline(models.BPE(), split(LLAMA3), None, decoders.ByteLevel()), trainers.BpeTrainer,
                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    yield "byte-level BPE", byte_level
    yield "byte-level BPE with NFC", Tokenizer.from_str(json.dumps(json.loads(byte_level.to_str()) | {"normalizer": {"type": "NFC"}}))
    t = train(pipeline(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True), pre_tokenizers.Metaspace(), None, decoders.Sequence(LLAMA_DECODER)),
              trainers.BpeTrainer, special_tokens=["<unk>"] + BYTES)
    t.pre_tokenizer = None
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "SentencePiece-style BPE", t
    yield "Unigram", train(pipeline(models.Unigram(), pre_tokenizers.Metaspace(), normalizers.NFKC(), decoders.Metaspace()), trainers.UnigramTrainer,
                           unk_token="<unk>", special_tokens=["<unk>"])
    yield "WordPiece", train(pipeline(models.WordPiece(unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(), decoders.WordPiece()),
                             trainers.WordPieceTrainer, special_tokens=["[UNK]"])


def run(program, folder, file, repeats=1):
    done = subprocess.run([program, folder, file, str(repeats)], capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()], json.loads(done.stderr)


def large(path, pairs):
    """128 k tokens of a byte-level BPE, all merges, like those of current models."""
    rng = random.Random(1)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)}
    tokens = list(alphabet)
    merges = []
    letters = [c for c in alphabet if c.isascii() and c.isalpha()] + ["Ġ"]
    while len(vocab) < 128_000:
        a = rng.choice(tokens if rng.random() < .8 else letters)
        b = rng.choice(letters if rng.random() < .6 else tokens)
        if a + b in vocab or len(a + b) > 14:
            continue
        vocab[a + b] = len(vocab)
        tokens.append(a + b)
        merges.append([a, b] if pairs else f"{a} {b}")
    while len(merges) < 280_000:  # more than one way to a token
        t = rng.choice(tokens)
        cut = rng.randrange(1, len(t)) if len(t) > 1 else 0
        if cut and t[:cut] in vocab and t[cut:] in vocab:
            merges.append([t[:cut], t[cut:]] if pairs else f"{t[:cut]} {t[cut:]}")
    file = json.loads(pipeline(models.BPE(), split(LLAMA3), None, decoders.ByteLevel()).to_str())
    file["model"]["vocab"], file["model"]["merges"] = vocab, merges
    path.write_text(json.dumps(file, ensure_ascii=False, indent=2))


def main():
    program, *files = sys.argv[1:]
    text = "".join(pathlib.Path(f).read_text() for f in files)
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        (work / "text").write_text(text)
        for kind, tokenizer in kinds(text):
            tokenizer.save(str(work / "tokenizer.json"))
            theirs = Tokenizer.from_file(str(work / "tokenizer.json"))
            ratios = []
            for _ in range(ROUNDS):
                begin = time.perf_counter()
                ids = theirs.encode(text, add_special_tokens=False).ids
                their_seconds = time.perf_counter() - begin
                ours, report = run(program, work, work / "text")
                assert ours == ids, kind
                ratios.append(their_seconds / report["encode"])
            print(f"{kind}: {statistics.median(ratios):.1f} times their speed ({min(ratios):.1f}–{max(ratios):.1f}), "
                  f"{len(text.encode()) / report['encode'] / 1e6:.1f} MB/s", flush=True)
        (work / "text").write_text("a")
        for form, pairs in [("\"a b\"", False), ("[\"a\", \"b\"]", True)]:
            large(work / "tokenizer.json", pairs)
            size = (work / "tokenizer.json").stat().st_size
            reports = [run(program, work, work / "text")[1] for _ in range(ROUNDS)]
            load, cpu = (statistics.median(r[key] for r in reports) for key in ("load", "load_cpu"))
            print(f"128000 tokens, 280000 merges {form}, {size / 1e6:.1f} MB: loading {load * 1e3:.0f} ms, {cpu * 1e3:.0f} ms of the processor, peak {reports[0]['peak'] / size:.2f} times "
                  f"the file, then {reports[0]['resident'] / size:.2f} times", flush=True)


if __name__ == "__main__":
    main()
