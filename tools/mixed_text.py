"""Mixed text for comparing tokenizers: documents in many scripts, code, and what is odd. The same for the same seed."""
import gettext
import pathlib
import random
import sysconfig

import tokenizer_zoo

WORDS = {  # alphabets that words are made of where no text of a language is at hand
    "chinese": [(0x4E00, 0x9FA5)], "arabic": [(0x627, 0x64A)], "hebrew": [(0x5D0, 0x5EA)], "devanagari": [(0x904, 0x94D)], "thai": [(0xE01, 0xE3A)],
    "korean": [(0xAC00, 0xD7A3)], "japanese": [(0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5)], "cyrillic": [(0x430, 0x44F)],
    "greek": [(0x3B1, 0x3C9)], "amharic": [(0x1200, 0x1248)], "tamil": [(0xB85, 0xBCD)], "math": [(0x1D400, 0x1D7FF)], "any": [(0x20, 0xD7FF)]}
SPACES = [" "] * 40 + ["  ", "\t", "\n", "\n\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u2028", "\x0b", " " * 17, "\u200b", "\ufeff"]
EMOJI = ["😀", "👍🏽", "👩\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈", "🇩🇪", "🇺🇳🇯🇵", "❤️", "1️⃣", "🧑🏿\u200d🚀", "🏴\U000e0067\U000e0062\U000e007f", "☺", "🫠"]
MARKS = "\u0300\u0301\u0302\u0303\u0308\u0323\u0327\u0331\u20d7\u0345\u05b4\u064b\u093c\u0e48\u3099"


def made_of(rng, ranges, size):
    """Words and sentences of characters from ranges."""
    out = []
    length = 0
    while length < size:
        low, high = rng.choice(ranges)
        word = "".join(chr(rng.randint(low, high)) for _ in range(rng.randrange(1, 9)))
        word = word.encode("utf-8", "ignore").decode() + rng.choice(["", "", "", ",", ".", "。", "、", "؟", "!", "-", "'s", " 12", "3.5"]) + rng.choice(SPACES)
        out.append(word)
        length += len(word.encode())
    return "".join(out)


def translations():
    """What programs on this machine say in other languages."""
    for file in sorted(pathlib.Path("/usr/share").rglob("*.mo")):
        if any(f"/{language}" in str(file) for language in ["zh_", "ko", "ja", "ru", "ar", "uk", "vi", "tr", "hi", "el", "he"]):
            try:
                with open(file, "rb") as f:
                    catalog = gettext.GNUTranslations(f)
                yield "\n".join(v for v in catalog._catalog.values() if isinstance(v, str))
            except (OSError, UnicodeDecodeError, ValueError):
                continue


def documents(paths=(), seed=1, size=4_200_000):
    """Bytes, not all of them UTF-8."""
    rng = random.Random(seed)
    out = [pathlib.Path(p).read_bytes()[:600_000] for p in paths] or [tokenizer_zoo.SAMPLE.encode()]
    root = tokenizer_zoo.ROOT
    code = sorted(root.glob("awq/**/*.cc"))[:60] + sorted(root.glob("tools/*.py")) + sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:30]
    out.append(b"\n".join(p.read_bytes() for p in code)[:700_000])
    out.append("\n".join(translations()).encode()[:500_000])
    for name, ranges in WORDS.items():
        out.append(made_of(rng, ranges, 100_000).encode())
    out.append("".join(rng.choice(EMOJI) + rng.choice(["", " ", "x"]) for _ in range(15_000)).encode())
    out.append("".join(rng.choice("aeiouAEn가かकال") + "".join(rng.choice(MARKS) for _ in range(rng.randrange(4))) + rng.choice(["", "", " "])
                       for _ in range(25_000)).encode())
    out.append("".join(rng.choice(SPACES) + rng.choice(["", "", "a", "12", "."]) for _ in range(40_000)).encode())
    damaged = bytearray(b"".join(d[:20_000] for d in out))
    for _ in range(len(damaged) // 40):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    out.append(bytes(damaged))
    out += [b"a" * 100_000, b" " * 60_000 + b"x", "字".encode() * 30_000, b"0123456789" * 8_000]
    total = sum(map(len, out))
    if total < size:
        out.append(made_of(rng, [(0x20, 0x7E)], size - total).encode())
    return out
