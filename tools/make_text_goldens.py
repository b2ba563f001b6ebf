"""Trains small byte-level BPE tokenizers of many option mixes with Hugging Face `tokenizers` and records
what they make of difficult texts, as testdata/text/tokenizers/NAME/{tokenizer.json,golden.json}.

    scripts/make_oracle_venv.sh
    .venv-oracle/bin/python tools/make_text_goldens.py
"""
import json
import pathlib
import random
import shutil

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "testdata" / "text" / "tokenizers"
SAMPLE = (ROOT / "models" / "demo" / "sample.txt").read_text()

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
MARKS = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

TEXTS = [
    "", " ", "\n", "a", "Hello, world!", "  two  spaces  ", "tabs\t\tand\r\nline\n\n\nends\r", "I'LL we'Ve it's 'S",
    "1234567890 3.14159 １２３ ² ½ Ⅷ ٣٤", "def f(x):\n    return x**2  # square\n\n\tif (a!=b) { ++i; }",
    "naïve café façade — “quotes” … ‘single’", "cafe\u0301 e\u0301\u0323 \u1e69 \ufb01 Å \u212b ｶﾞ 가 \u1112\u1161\u11ab",
    "你好，世界！今天天气很好。", "日本語のテキスト、カタカナ。", "한국어 문장입니다.", "مرحبا بالعالم ١٢٣", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "👩‍👩‍👧‍👦 👍🏽 🇺🇳 ❤️ 🏳️‍🌈 e\u20dd", "a\u00a0b\u2003c\u3000d\u200be\ufefff\u2028g\u2029h\u0085i",
    "\u0000\u0001\u007f\u0080\u009f", "<|bos|>x<|eos|>", "a <|pad|> b<|pad|>c", "say <mask> here", "say<mask>here  <mask>  end",
    "foo tool foo stool tools", "  <mask>\n<mask>  ", "<|im_start|>user\nhi<|im_end|>\n", "<|im_start", "<|bos|><|bos|>", "İstanbul ǅ ß SS ſ",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \U0010fffd \ue000", "x" * 300, "ab" * 150, " " * 70 + "end", "\n" * 33, "!?" * 40, "The THE tHe the thE",
    "don't can’t y'all're 'tis", "http://example.com/a?b=c&d=e#f", "a_b-c.d,e;f:g", "\u0301start", "ﬁnal ﷺ ㎏ ①", "A\u030a\u0327 \u0344", "Grün  ÄÖÜ",
]


def train(pre, normalizer=None, vocab=600, **bpe):
    tokenizer = Tokenizer(models.BPE(**bpe))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    text = SAMPLE[:30000] + "\n".join(TEXTS) * 2
    tokenizer.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=vocab, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior, invert),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def template(tokenizer, single):
    names = [t for t in single.split() if t != "$A"]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=single, special_tokens=[(n, tokenizer.token_to_id(n)) for n in names])])


def special(*names):
    return [AddedToken(n, special=True, normalized=False) for n in names]


def make():
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out = {}

    out["gpt2"] = t = train(byte_level)
    t.add_special_tokens(special("<|eos|>"))
    t.post_processor = processors.ByteLevel(trim_offsets=False)

    out["gpt2_prefix_space"] = t = train(pre_tokenizers.ByteLevel(add_prefix_space=True))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])

    out["llama3"] = t = train(split(LLAMA3), ignore_merges=True)
    t.add_special_tokens(special("<|bos|>", "<|eos|>", "<|pad|>", "<|im_start|>", "<|im_end|>"))
    template(t, "<|bos|> $A")

    out["llama3_merges"] = t = train(split(LLAMA3))
    t.add_special_tokens(special("<|bos|>", "<|eos|>"))
    template(t, "<|bos|> $A <|eos|>")

    out["qwen2"] = t = train(split(QWEN2), normalizers.NFC())
    t.add_special_tokens(special("<|im_start|>", "<|im_end|>", "<|pad|>"))
    t.add_tokens([AddedToken("tool", single_word=True), AddedToken("foo", normalized=True)])

    out["marks"] = t = train(split(MARKS), vocab=700)
    t.add_special_tokens(special("<|bos|>"))

    out["flags"] = t = train(split(GPT2), normalizers.NFKC())
    t.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False),
                  AddedToken("tool", single_word=True, normalized=False), AddedToken("tools", normalized=False),
                  AddedToken("\u212b", normalized=True), AddedToken("<|pad|>", rstrip=True),
                  AddedToken("<|", normalized=False), AddedToken("<|bos|>", normalized=False)])

    out["nfd"] = train(byte_level, normalizers.Sequence([normalizers.NFD()]))
    out["nfkd"] = train(byte_level, normalizers.NFKD())
    for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous"]:
        out[behavior] = train(split(r"\p{N}|[ ,.]", behavior))
    out["inverted"] = train(split(r"\p{L}+|\s+", "removed", invert=True))
    out["digits"] = train(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    out["digit_runs"] = train(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=True)]))
    out["string_split"] = train(pre_tokenizers.Sequence([
        pre_tokenizers.Split("e.", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    return out


def random_texts(rng):
    pools = ["abc XYZ 09.,'\n\t", "éüñçÅ\u0301\u0323\u200d\ufe0f", "你好日本한국ال", "😀👩\u200d🇺🇳", "<|bos|>", "<mask> tool ", "\r\n \u00a0\u3000"]
    for _ in range(60):
        text = ""
        for _ in range(rng.randrange(1, 12)):
            pool = rng.choice(pools)
            text += pool if rng.random() < .1 else "".join(rng.choice(pool) for _ in range(rng.randrange(1, 6)))
        yield text


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    texts = TEXTS + list(random_texts(random.Random(7)))
    for name, tokenizer in make().items():
        folder = OUT / name
        folder.mkdir(parents=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        cases = []
        for text in texts:
            ids = tokenizer.encode(text).ids
            cases.append({"text": text, "ids": ids, "plain": tokenizer.encode(text, add_special_tokens=False).ids,
                          "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                          "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
            for key, same_as in [("plain", "ids"), ("decoded", "text"), ("skipped", "decoded")]:
                if cases[-1][key] == cases[-1].get(same_as, text):
                    del cases[-1][key]
        (folder / "golden.json").write_text(
            "[\n" + ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
