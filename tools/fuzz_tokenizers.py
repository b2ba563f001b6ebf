"""Differential fuzzer: random texts and ids through the tokenizers of tokenizer_zoo.py and of folders, ours against
Hugging Face `tokenizers`, until the time is over. Differences are made small and printed.

    nice .venv-oracle/bin/python tools/fuzz_tokenizers.py build/cpu/bin/awq_tokenize [--minutes 60] [--seed 1] [--only NAME] [FOLDER]…
"""
import argparse
import os
import pathlib
import random
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RUST_BACKTRACE"] = "0"
import tokenizer_zoo  # noqa: E402
import vocabulary_zoo  # noqa: E402
from tokenizer_server import Server  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

RANGES = [(0, 0x7F), (0x80, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xFFF), (0x1100, 0x11FF),
          (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x20D0, 0x20FF), (0x2100, 0x218F), (0x2460, 0x24FF), (0x2580, 0x25AF), (0x2E80, 0x30FF),
          (0x3100, 0x33FF), (0x4E00, 0x4FFF), (0xA600, 0xABFF), (0xAC00, 0xADFF), (0xF900, 0xFDFF), (0xFE00, 0xFEFF), (0xFF00, 0xFFFF),
          (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x1D100, 0x1D7FF), (0x1E000, 0x1EFFF), (0x1F000, 0x1FAFF), (0x20000, 0x200FF), (0xE0000, 0xE01FF)]
MARKS = "\u0301\u0300\u0323\u0327\u0308\u20dd\u200d\ufe0f\u0345\u05b0\u0e38\u0f71\u3099"
SPACES = " \t\n\r\x0b\x0c\u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u3000\u200b\u180e\ufeff"


class Texts:
    def __init__(self, rng, tokenizers):
        self.rng = rng
        self.words = tokenizer_zoo.SAMPLE.split()
        self.pieces = []
        for t in tokenizers:
            self.pieces += list(t.get_vocab())[:3000]
        self.known = tokenizer_zoo.TEXTS + tokenizer_zoo.HARDER
        self.added = sorted({a.content for t in tokenizers for a in t.get_added_tokens_decoder().values()})

    def code(self):
        low, high = self.rng.choice(RANGES)
        c = self.rng.randint(low, high)
        return "\ufffd" if 0xD800 <= c < 0xE000 else chr(c)

    def part(self):
        rng = self.rng
        kind = rng.randrange(11)
        if kind == 0:
            return rng.choice(self.words)
        if kind == 1:
            return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3, 20])
        if kind == 2:
            return self.code()
        if kind == 3:
            low, high = rng.choice(RANGES)
            return "".join(chr(rng.randint(low, high)) for _ in range(rng.randrange(1, 8))).encode("utf-8", "replace").decode()
        if kind == 4:
            return rng.choice("aeoAEOksकक가がカ<>=") + "".join(rng.choice(MARKS) for _ in range(rng.randrange(1, 4)))
        if kind == 5:
            return rng.choice(self.pieces)
        if kind == 6 and self.added:
            return rng.choice(self.added)
        if kind == 7:
            return str(rng.randrange(10 ** rng.randrange(1, 12)))
        if kind == 8:
            return rng.choice(["'s", "'LL", "n't", " do not", "<0x41>", "▁", "##", "@@", "</w>", "\r\n", "#", "👍🏽", "👩\u200d👩\u200d👧", "🇩🇪🇫🇷", "ﬁ", "İ", "ß", "ſ"])
        if kind == 9:
            text = rng.choice(self.known)
            at = rng.randrange(len(text) + 1)
            return text[at:at + rng.randrange(12)]
        return "".join(rng.choice("abcdefgh ijklmnopqrstuvwxyzABCXYZ.,;:!?-_()[]{}/\\\"'0123456789") for _ in range(rng.randrange(1, 9)))

    def text(self):
        parts = self.rng.choice([1, 2, 3, 5, 8, 8, 20, 60])
        joint = self.rng.choice(["", "", " "])
        return joint.join(self.part() for _ in range(self.rng.randrange(parts + 1)))


class Pair:
    """One tokenizer, ours and theirs."""

    def __init__(self, name, theirs, server, index):
        self.name, self.theirs, self.server, self.index = name, theirs, server, index

    def differs_on_text(self, text):
        """What differs, or nothing. Where theirs fails, nothing is compared."""
        for special in (True, False):
            try:
                theirs = self.theirs.encode(text, add_special_tokens=special).ids
            except BaseException as e:  # their panics are no Exceptions
                if isinstance(e, KeyboardInterrupt):
                    raise
                return None
            try:
                ours = self.server.encode(self.index, text, special)
            except ValueError as e:
                ours = str(e)
            if ours != theirs:
                return f"encode special={special}\n  ours   {ours}\n  theirs {theirs}"
        return self.differs_on_ids(theirs)

    def differs_on_ids(self, ids):
        for skip in (True, False):
            try:
                theirs = self.theirs.decode(ids, skip_special_tokens=skip)
            except BaseException as e:
                if isinstance(e, KeyboardInterrupt):
                    raise
                return None
            if theirs is None:
                continue
            for stream in (False, True):
                ours = self.server.decode(self.index, ids, skip, stream)
                if ours != theirs:
                    return f"decode {ids} skip={skip} stream={stream}\n  ours   {ours!r}\n  theirs {theirs!r}"
        return None


def shrink(items, differs):
    step = max(1, len(items) // 2)
    while step:
        at = 0
        while at < len(items):
            less = items[:at] + items[at + step:]
            if differs(less):
                items = less
            else:
                at += step
        step //= 2
    return items


def load(folders, only):
    named = {} if only == ["folders"] else tokenizer_zoo.zoo() | tokenizer_zoo.large_zoo()
    named = {n: t for n, t in named.items() if not only or n in only}
    work = tempfile.TemporaryDirectory()
    paths = []
    for name, tokenizer in named.items():
        path = pathlib.Path(work.name) / name
        path.mkdir()
        tokenizer.save(str(path / "tokenizer.json"))
        paths.append(path)
    # Theirs is read back as well: what a file says may differ from what made it.
    tokenizers = [Tokenizer.from_file(str(p / "tokenizer.json")) for p in paths]
    for name, (files, oracle) in ([] if only == ["folders"] else vocabulary_zoo.vocabulary_zoo().items()):
        if only and name not in only:
            continue
        path = pathlib.Path(work.name) / name
        path.mkdir()
        for file, data in files.items():
            (path / file).write_bytes(data)
        paths.append(path)
        tokenizers.append(oracle)
    for folder in map(pathlib.Path, folders):
        paths.append(folder)
        tokenizers.append(vocabulary_zoo.oracle_of(folder))
    return work, paths, tokenizers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="names; \"folders\" for those alone")
    parser.add_argument("--stop-after", type=int, default=20, help="differences")
    options = parser.parse_args()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # their panics are loud

    rng = random.Random(options.seed)
    work, paths, tokenizers = load(options.folders, options.only)
    server = Server(options.program, paths)
    pairs = [Pair(p.name, t, server, i) for i, (p, t) in enumerate(zip(paths, tokenizers))]
    texts = Texts(rng, tokenizers)
    begin = time.monotonic()
    reported = begin
    cases = 0
    bad = 0
    seen = {}
    while time.monotonic() - begin < options.minutes * 60:
        text = texts.text()
        for pair in pairs:
            cases += 1
            differs = pair.differs_on_text(text)
            if differs:
                bad += 1
                seen[pair.name] = seen.get(pair.name, 0) + 1
                if seen[pair.name] <= 3:
                    small = shrink(text, pair.differs_on_text)
                    print(f"{pair.name}: {small!r} {[hex(ord(c)) for c in small][:12]}\n  {pair.differs_on_text(small)}", flush=True)
                continue
            size = pair.theirs.get_vocab_size()
            ids = [rng.randrange(size + 3) for _ in range(rng.randrange(12))]
            # Bytes that are no UTF-8: sentencepiece and Hugging Face decode them differently.
            sentencepiece = isinstance(pair.theirs, vocabulary_zoo.SentencePieceOracle)
            differs = None if sentencepiece else pair.differs_on_ids(ids)
            if differs:
                bad += 1
                print(f"{pair.name}: {pair.differs_on_ids(shrink(ids, pair.differs_on_ids))}", flush=True)
        if bad >= options.stop_after:
            break
        if time.monotonic() - reported > 300:
            reported = time.monotonic()
            print(f"{(reported - begin) / 60:.0f} min: {cases} cases, {bad} differences", flush=True)
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes, {len(pairs)} tokenizers, {cases} cases, {bad} differences, seed {options.seed}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
