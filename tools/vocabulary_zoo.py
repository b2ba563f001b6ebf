"""Checkpoint folders without tokenizer.json, and the libraries that say what is right for them: SentencePiece models
against `sentencepiece`, tiktoken vocabularies against `tiktoken`."""
import base64
import json
import re
import unicodedata

import tokenizer_zoo
from tokenizer_zoo import LLAMA3, QWEN2, RULES

SYMBOLS = ("<|im_start|>", "<|im_end|>", "tool", "tools")
# Not in unigram models: in an odd run of these, ways to write it are equally probable, and the rounding of
# SentencePiece's sums, which differs between its releases, decides where the single one is.
RUNS = ("▁▁", "\n\n")


class Encoded:
    def __init__(self, ids):
        self.ids = ids


class SentencePieceOracle:
    """As Transformers uses it: control tokens are found in the text, what is between them is encoded by itself."""

    def __init__(self, model, before=(), after=()):
        import sentencepiece
        self.model = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.before, self.after = list(before), list(after)
        size = self.model.get_piece_size()
        self.special = {self.model.id_to_piece(i): i for i in range(size) if self.model.is_control(i) or self.model.is_unknown(i)}
        self.unknown = self.model.unk_id()
        self.pattern = re.compile("(" + "|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) + ")")

    def encode(self, text, add_special_tokens=True):
        ids = []
        for part in self.pattern.split(text):
            ids += [self.special[part]] if part in self.special else self.model.encode(part)
        return Encoded(self.before + ids + self.after if add_special_tokens else ids)

    def decode(self, ids, skip_special_tokens=True):
        """Nothing where the two libraries differ: unknown and special tokens."""
        if any(i in self.special.values() for i in ids) or not skip_special_tokens:
            return None
        return self.model.decode(ids)

    def get_vocab(self):
        return {self.model.id_to_piece(i): i for i in range(self.model.get_piece_size())}

    def get_vocab_size(self):
        return self.model.get_piece_size()

    def get_added_tokens_decoder(self):
        return {}


class TiktokenOracle:
    def __init__(self, pattern, ranks, special, normalize):
        import tiktoken
        self.encoding = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        self.normalize = normalize
        self.special = set(special.values())

    def encode(self, text, add_special_tokens=True):
        parts = re.split("(" + "|".join(map(re.escape, self.encoding._special_tokens)) + ")", text)
        text = "".join(p if p in self.encoding._special_tokens else self.normalize(p) for p in parts)
        return Encoded(self.encoding.encode(text, allowed_special="all"))

    def decode(self, ids, skip_special_tokens=True):
        known = [i for i in ids if i < self.encoding.n_vocab and (not skip_special_tokens or i not in self.special)]
        try:
            return self.encoding.decode(known)
        except KeyError:  # a hole in the vocabulary
            return None

    def get_vocab(self):
        return {self.encoding.decode_single_token_bytes(i).decode("utf-8", "replace"): i for i in self.encoding._mergeable_ranks.values()}

    def get_vocab_size(self):
        return len(self.encoding._mergeable_ranks)

    def get_added_tokens_decoder(self):
        return {}


def sentencepiece_folder(config, **options):
    symbols = SYMBOLS + (RUNS if options["model_type"] == "bpe" else ())
    model = tokenizer_zoo.sentencepiece_model(user_defined_symbols=symbols, pad_id=3, **options)
    oracle = SentencePieceOracle(model, [1] if config.get("add_bos_token", True) else [], [2] if config.get("add_eos_token") else [])
    return {"tokenizer.model": model, "tokenizer_config.json": json.dumps(config).encode()}, oracle


def tiktoken_folder(kind):
    """The vocabulary of a small byte-level tokenizer, whose ids are ranks."""
    tokenizer = tokenizer_zoo.byte_level(tokenizer_zoo.split(QWEN2 if kind == "qwen" else LLAMA3), vocab=700)
    from tokenizers.pre_tokenizers import ByteLevel
    order = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    alphabet = {chr(b): b for b in order} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in order)}
    assert set(alphabet) == set(ByteLevel.alphabet())
    ranks = {bytes(alphabet[c] for c in piece): i for piece, i in tokenizer.get_vocab().items()}
    lines = b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in sorted(ranks.items(), key=lambda x: x[1]))
    if kind == "qwen":
        special = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645} | {f"<|extra_{i}|>": 151646 + i for i in range(205)}
        files = {"qwen.tiktoken": lines, "tokenizer_config.json": b'{"tokenizer_class": "QWenTokenizer"}'}
        return files, TiktokenOracle(QWEN2, ranks, special, lambda s: unicodedata.normalize("NFC", s))
    special = {"<|endoftext|>": 100257, "<|system|>": 100261, "<|user|>": 100262, "<|assistant|>": 100263, "<|end|>": 100266,
               "<|endofprompt|>": 100276, "<|dummy_id_11|>": 100275, "<|dummy_id_12|>": 100277, "<|dummy_id_86|>": 100351}
    files = {"cl100k_base.tiktoken": lines, "tokenizer_config.json": b'{"tokenizer_class": "Phi3SmallTokenizer"}'}
    return files, TiktokenOracle(LLAMA3, ranks, special, lambda s: s)


def rules_file():
    import tempfile
    file = tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False)
    for old, new in RULES:
        file.write(" ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n")
    file.close()
    return file.name


def vocabulary_zoo():
    """Name → (files, oracle)."""
    rules = rules_file()
    return {
        "spm_bpe": sentencepiece_folder({"tokenizer_class": "LlamaTokenizer"}, model_type="bpe", vocab_size=700, byte_fallback=True,
                                        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True),
        "spm_bpe_suffix": sentencepiece_folder({"add_bos_token": False, "add_eos_token": True}, model_type="bpe", vocab_size=400,
                                               character_coverage=0.99, normalization_rule_tsv=rules, treat_whitespace_as_suffix=True),
        "spm_unigram": sentencepiece_folder({"tokenizer_class": "T5Tokenizer", "add_bos_token": False, "add_eos_token": True}, model_type="unigram",
                                            vocab_size=400, character_coverage=0.99, normalization_rule_tsv=rules),
        "spm_unigram_bytes": sentencepiece_folder({}, model_type="unigram", vocab_size=700, character_coverage=0.99, byte_fallback=True,
                                                  normalization_rule_name="identity", add_dummy_prefix=False),
        "qwen": tiktoken_folder("qwen"),
        "phi3_small": tiktoken_folder("phi3_small"),
    }


def oracle_of(folder):
    """What says what is right for a folder that somebody has downloaded."""
    if (folder / "tokenizer.json").exists():
        tokenizer = tokenizer_zoo.Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()  # ours ignores both
        tokenizer.no_padding()
        return tokenizer
    models = sorted(folder.glob("*.model"))
    if models:
        model = models[0].read_bytes()
        bos = SentencePieceOracle(model).model.bos_id()
        return SentencePieceOracle(model, [bos] if bos >= 0 else [])
    ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in next(folder.glob("*.tiktoken")).read_bytes().splitlines() if line)}
    qwen = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645} | {f"<|extra_{i}|>": 151646 + i for i in range(205)}
    return TiktokenOracle(QWEN2, ranks, qwen, lambda s: unicodedata.normalize("NFC", s))
