"""Tokenizers of all kinds and many option mixes, trained or composed with Hugging Face `tokenizers` on a small sample;
and texts that are difficult for them. make_text_goldens.py, check_tokenizers.py and fuzz_tokenizers.py use them."""
import functools
import io
import pathlib
import random
import tempfile

import oracle_env  # noqa: F401
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLE = (ROOT / "models" / "demo" / "sample.txt").read_text()

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
MARKS = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# What Oniguruma's Ruby syntax writes or means differently from PCRE2.
RUBY = (r"\p{N}{1,2}+|[a-c[x-z]]+|[\p{L}&&[^aeiou]]+|\h{2}|^#.*$|(?m:<.*?>)|\bthe\b|[^\W\d_]+|[\S&&[^\p{L}]]|_{,2}\s")

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
HARDER = [
    "\uB744\u11A7 \uAC00\u11A7\u11A8", "toolst toolsh",
    "<s>Hello</s> <unk>x<s>", "▁under▁score ▁▁", "[CLS] a [SEP][MASK]", "the  <0x41><0xE4> byte", "<br>\n<b\n>x", "a|b||c", "``quoted''  text",
    "xx" * 60, "pneumonoultramicroscopicsilicovolcanoconiosis", "abcxyz bcdf 0af3 __ _ ___", "# comment\nthe end, then the", "wörd wörd wörd",
    "\ufb01rst", " \u3000 lead", "Ⅷ①㎏ ａｂｃ ＡＢＣ", "अनुच्छेद क्षि", "é\u0327\u0301 o\u0302\u0323", "\r\n\r\n \r\n", "e\u0301\u0301\u0301" * 10, "\U0001f468\u200d\U0001f469",
]


def sample():
    return SAMPLE[:30000] + "\n".join(TEXTS) * 2


def trained(tokenizer, trainer_type, vocab, **options):
    tokenizer.train_from_iterator([sample()], trainer_type(vocab_size=vocab, show_progress=False, **options))
    return tokenizer


def pipeline(model, pre=None, normalizer=None, decoder=None):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if decoder is not None:
        tokenizer.decoder = decoder
    return tokenizer


def byte_level(pre, normalizer=None, vocab=600, **bpe):
    return trained(pipeline(models.BPE(**bpe), pre, normalizer, decoders.ByteLevel()), trainers.BpeTrainer, vocab,
                   initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


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


def byte_level_zoo():
    byte_pre = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out = {}

    out["gpt2"] = t = byte_level(byte_pre)
    t.add_special_tokens(special("<|eos|>"))
    t.post_processor = processors.ByteLevel(trim_offsets=False)

    out["gpt2_prefix_space"] = t = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])

    out["llama3"] = t = byte_level(split(LLAMA3), ignore_merges=True)
    t.add_special_tokens(special("<|bos|>", "<|eos|>", "<|pad|>", "<|im_start|>", "<|im_end|>"))
    template(t, "<|bos|> $A")

    out["llama3_merges"] = t = byte_level(split(LLAMA3))
    t.add_special_tokens(special("<|bos|>", "<|eos|>"))
    template(t, "<|bos|> $A <|eos|>")

    out["qwen2"] = t = byte_level(split(QWEN2), normalizers.NFC())
    t.add_special_tokens(special("<|im_start|>", "<|im_end|>", "<|pad|>"))
    t.add_tokens([AddedToken("tool", single_word=True), AddedToken("foo", normalized=True)])

    out["marks"] = t = byte_level(split(MARKS), vocab=700)
    t.add_special_tokens(special("<|bos|>"))

    out["flags"] = t = byte_level(split(GPT2), normalizers.NFKC())
    t.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False),
                  AddedToken("tool", single_word=True, normalized=False), AddedToken("tools", normalized=False),
                  AddedToken("\u212b", normalized=True), AddedToken("<|pad|>", rstrip=True),
                  AddedToken("<|", normalized=False), AddedToken("<|bos|>", normalized=False)])

    out["nfd"] = byte_level(byte_pre, normalizers.Sequence([normalizers.NFD()]))
    out["nfkd"] = byte_level(byte_pre, normalizers.NFKD())
    for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous"]:
        out[behavior] = byte_level(split(r"\p{N}|[ ,.]", behavior))
    out["inverted"] = byte_level(split(r"\p{L}+|\s+", "removed", invert=True))
    out["digits"] = byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_pre]))
    out["digit_runs"] = byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=True)]))
    out["string_split"] = byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Split("e.", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    return out


@functools.cache
def sentencepiece_model(**options):
    """A model file that SentencePiece trains on the sample."""
    import sentencepiece
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for line in sample().splitlines() if line.strip()), model_writer=out, minloglevel=2,
        hard_vocab_limit=False, num_threads=1, **{k: list(v) if isinstance(v, tuple) else v for k, v in options.items()})
    return out.getvalue()


def charsmap(rule="", rules=()):
    """SentencePiece's compiled replacement rules: one of its own sets, or pairs of texts."""
    from sentencepiece import sentencepiece_model_pb2
    if rules:
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
            for old, new in rules:
                file.write(" ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n")
            file.flush()
            model = sentencepiece_model(vocab_size=500, normalization_rule_tsv=file.name)
    else:
        model = sentencepiece_model(vocab_size=500, normalization_rule_name=rule)
    return sentencepiece_model_pb2.ModelProto.FromString(model).normalizer_spec.precompiled_charsmap


RULES = [("ﬁ", "fi"), ("①", "1"), ("㎏", "kg"), ("\u00a0", " "), ("\u3000", " "), ("\t", " "), ("\n", " "), ("e\u0301", "é"), ("Å", "A"), ("ａ", "a"),
         ("\u200b", ""), ("\ufeff", ""), ("カ", "か"), ("\r\n", " "), ("👍🏽", "+1"), ("क्षि", "X")]

LLAMA_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def llama_bpe(pre=None, normalizer=None, vocab=550, tokens=("<unk>", "<s>", "</s>"), **bpe):
    """SentencePiece-style: trained on words that begin with ▁, whatever is in front of it later."""
    t = pipeline(models.BPE(unk_token="<unk>", **bpe), pre_tokenizers.Metaspace())
    trained(t, trainers.BpeTrainer, vocab, special_tokens=list(tokens) + BYTES, limit_alphabet=90)
    t.pre_tokenizer = pre
    if normalizer is not None:
        t.normalizer = normalizer
    t.decoder = decoders.Sequence(LLAMA_DECODER)
    return t


def words_zoo():
    space = "▁"
    out = {}

    out["llama2"] = t = llama_bpe(None, normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)]),
                                  byte_fallback=True, fuse_unk=True)
    t.add_special_tokens(special("<unk>", "<s>", "</s>"))
    template(t, "<s> $A")

    out["llama2_first"] = t = llama_bpe(pre_tokenizers.Metaspace(prepend_scheme="first", split=False), byte_fallback=True, fuse_unk=True)
    t.add_special_tokens(special("<unk>", "<s>", "</s>") + [AddedToken("<mask>", rstrip=True, normalized=False)])
    template(t, "<s> $A </s>")

    out["gemma"] = t = llama_bpe(pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", space), byte_fallback=True, fuse_unk=True)
    t.decoder = decoders.Sequence(LLAMA_DECODER[:3])
    t.add_special_tokens(special("<s>", "<unk>") + [AddedToken("\n\n", normalized=False), AddedToken(space * 2, normalized=True)])

    out["llama2_flags"] = t = llama_bpe(None, normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)]), fuse_unk=False)
    t.add_tokens([AddedToken("</s>", normalized=True, special=True), AddedToken("tool", normalized=True, single_word=True),
                  AddedToken("<mask>", normalized=True, lstrip=True), AddedToken(" here", normalized=False)])

    unk = {"unk_token": "<unk>", "special_tokens": ["<unk>", "</s>", "<pad>"]}
    out["t5"] = t = pipeline(models.Unigram(), pre_tokenizers.Metaspace(), normalizers.Sequence([
        normalizers.Precompiled(charsmap(rules=RULES)), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), space)]), decoders.Metaspace())
    trained(t, trainers.UnigramTrainer, 400, **unk)
    t.add_special_tokens(special("</s>", "<pad>", "<unk>"))
    template(t, "$A </s>")

    out["unigram_whole"] = t = pipeline(models.Unigram(), pre_tokenizers.Metaspace(), None, decoders.Sequence(LLAMA_DECODER))
    trained(t, trainers.UnigramTrainer, 400, **unk)
    vocab = [tuple(v) for v in json_of(t)["model"]["vocab"]]
    t.model = models.Unigram(vocab + [(b, -8.0) for b in BYTES], 0, byte_fallback=True)
    t.pre_tokenizer = None
    t.normalizer = normalizers.Replace(" ", space)

    out["xlnet"] = t = pipeline(models.Unigram(), pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
                                normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
                                                      normalizers.StripAccents(), normalizers.Nmt(), normalizers.Lowercase()]),
                                decoders.Metaspace())
    trained(t, trainers.UnigramTrainer, 400, **unk)

    wordpiece = {"special_tokens": ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]}
    out["bert"] = t = pipeline(models.WordPiece(unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(), decoders.WordPiece())
    trained(t, trainers.WordPieceTrainer, 500, **wordpiece)
    t.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))

    out["bert_cased"] = t = pipeline(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12, continuing_subword_prefix="@@"),
                                     pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("merged_with_previous")]),
                                     normalizers.BertNormalizer(lowercase=False, handle_chinese_chars=False, strip_accents=True),
                                     decoders.WordPiece(prefix="@@", cleanup=False))
    trained(t, trainers.WordPieceTrainer, 500, continuing_subword_prefix="@@", **wordpiece)
    t.post_processor = processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1))

    out["openai_gpt"] = t = pipeline(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), pre_tokenizers.BertPreTokenizer(),
                                     normalizers.BertNormalizer(clean_text=False), decoders.BPEDecoder())
    trained(t, trainers.BpeTrainer, 500, special_tokens=["<unk>"], end_of_word_suffix="</w>")

    out["subword_prefix"] = t = pipeline(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="$"),
                                         pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit("|"), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits()]),
                                         normalizers.Strip(right=False), decoders.Sequence([decoders.Replace(Regex("^##"), "+"), decoders.BPEDecoder("$")]))
    trained(t, trainers.BpeTrainer, 500, special_tokens=["<unk>"], continuing_subword_prefix="##", end_of_word_suffix="$", limit_alphabet=60)

    out["word_level"] = t = pipeline(models.WordLevel(unk_token="<unk>"), pre_tokenizers.Sequence([pre_tokenizers.UnicodeScripts(), pre_tokenizers.WhitespaceSplit()]),
                                     normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]))
    trained(t, trainers.WordLevelTrainer, 300, special_tokens=["<unk>"])

    out["ctc"] = t = pipeline(models.WordLevel(unk_token="<unk>"), pre_tokenizers.Split("", "isolated"), normalizers.Replace(" ", "|"), decoders.CTC("x", "|", True))
    trained(t, trainers.WordLevelTrainer, 200, special_tokens=["<unk>", "<pad>"])

    out["byte_normalizer"] = t = pipeline(models.BPE(), pre_tokenizers.Split(Regex("Ġ?[^Ġ]+|Ġ+"), "isolated"),
                                          normalizers.Sequence([normalizers.Strip(left=False), normalizers.ByteLevel()]),
                                          decoders.Sequence([decoders.ByteLevel(), decoders.Strip("e", 0, 2), decoders.Replace("a b", "A B")]))
    trained(t, trainers.BpeTrainer, 500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.add_tokens([AddedToken("tool", single_word=True), AddedToken("é")])

    out["deepseek"] = t = byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"), pre_tokenizers.Split(Regex("[一-龥\u3040-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), normalizers.Sequence([]), vocab=500)
    t.add_special_tokens(special("<|bos|>"))

    for behavior in ["isolated", "contiguous"]:
        out["ruby_" + behavior] = byte_level(split(RUBY, behavior), vocab=400)

    out["first_piece"] = t = llama_bpe(pre_tokenizers.Sequence([pre_tokenizers.FixedLength(7), pre_tokenizers.Metaspace(prepend_scheme="first")]),
                                       normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex("^(the|e|f)"), "")]), byte_fallback=True)
    t.decoder = decoders.Metaspace(prepend_scheme="never")
    return out


def json_of(tokenizer):
    import json
    return json.loads(tokenizer.to_str())


def random_texts(rng, count):
    pools = ["abc XYZ 09.,'\n\t", "éüñçÅ\u0301\u0323\u200d\ufe0f", "你好日本한국ال", "😀👩\u200d🇺🇳", "<|bos|>", "<mask> tool ", "\r\n \u00a0\u3000"]
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(1, 12)):
            pool = rng.choice(pools)
            text += pool if rng.random() < .1 else "".join(rng.choice(pool) for _ in range(rng.randrange(1, 6)))
        yield text


def zoo():
    return byte_level_zoo() | words_zoo()


def golden_texts(seed=7, count=60):
    return TEXTS + list(random_texts(random.Random(seed), count))


def large_zoo():
    """Too large for the repository: SentencePiece's own replacement rules."""
    out = {}
    out["xlm_roberta"] = t = pipeline(models.Unigram(), pre_tokenizers.Metaspace(), normalizers.Precompiled(charsmap("nmt_nfkc")), decoders.Metaspace())
    trained(t, trainers.UnigramTrainer, 400, unk_token="<unk>", special_tokens=["<unk>"])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    return out
