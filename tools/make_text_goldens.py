"""Writes the tokenizers of tokenizer_zoo.py, and what Hugging Face `tokenizers` makes of difficult texts with them, as
testdata/text/tokenizers/NAME/{tokenizer.json,golden.json}; and the same for vocabulary_zoo.py's folders without
tokenizer.json.

    scripts/make_oracle_venv.sh
    .venv-oracle/bin/python tools/make_text_goldens.py [NAME | seeds]…
"""
import json
import random
import shutil
import sys

import tokenizer_zoo
import vocabulary_zoo

OUT = tokenizer_zoo.ROOT / "testdata" / "text" / "tokenizers"


def write(folder, tokenizer, texts):
    cases = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        try:
            decoded = [tokenizer.decode(ids, skip_special_tokens=skip) for skip in (False, True)]
        except BaseException:  # Rust's panics: some decoders do not stand an empty text
            continue
        cases.append({"text": text, "ids": ids, "plain": tokenizer.encode(text, add_special_tokens=False).ids,
                      "decoded": decoded[0], "skipped": decoded[1]})
        for key, same_as in [("plain", "ids"), ("decoded", "text"), ("skipped", "decoded")]:
            if cases[-1][key] == cases[-1].get(same_as, text):
                del cases[-1][key]
    (folder / "golden.json").write_text(
        "[\n" + ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases) + "\n]\n")


def empty(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_seeds(tokenizers):
    """Small files for the fuzz targets: the tokenizers with what is left of their vocabulary."""
    folder = OUT.parent / "fuzz" / "tokenizer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, tokenizer in tokenizers.items():
        file = json.loads(tokenizer.to_str())
        model = file["model"]
        if isinstance(model["vocab"], dict):
            kept = sorted(model["vocab"].items(), key=lambda x: x[1])
            model["vocab"] = dict(kept[:12] + kept[-12:])
        else:
            model["vocab"] = model["vocab"][:24]
        if "merges" in model:
            model["merges"] = [m for m in model["merges"] if {*m, "".join(m)} <= set(model["vocab"])]
        (folder / f"{name}.json").write_text(json.dumps(file, ensure_ascii=False))
    folder = OUT.parent / "fuzz" / "tokenizer_model"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    from sentencepiece import sentencepiece_model_pb2
    for name, (files, _) in vocabulary_zoo.vocabulary_zoo().items():
        file, data = next(iter(files.items()))
        if file.endswith(".model"):
            proto = sentencepiece_model_pb2.ModelProto.FromString(data)
            kept = list(proto.pieces[:10]) + list(proto.pieces[-20:])
            del proto.pieces[:]
            proto.pieces.extend(kept)
            data = proto.SerializeToString()
        else:
            data = b"\n".join(data.splitlines()[:20] + data.splitlines()[-20:]) + b"\n"
        (folder / f"{name}").write_bytes(data)


def main():
    wanted = sys.argv[1:]
    texts = tokenizer_zoo.golden_texts()
    harder = tokenizer_zoo.TEXTS + tokenizer_zoo.HARDER + list(tokenizer_zoo.random_texts(random.Random(8), 30))
    byte_level = tokenizer_zoo.byte_level_zoo()
    everything = byte_level | tokenizer_zoo.words_zoo()
    if not wanted or "seeds" in wanted:
        write_seeds(everything)
    for name, tokenizer in everything.items():
        if wanted and name not in wanted:
            continue
        folder = empty(name)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        tokenizer = tokenizer_zoo.Tokenizer.from_file(str(folder / "tokenizer.json"))  # not always what has been saved
        write(folder, tokenizer, texts if name in byte_level else harder)
    for name, (files, oracle) in vocabulary_zoo.vocabulary_zoo().items():
        if wanted and name not in wanted:
            continue
        folder = empty(name)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        write(folder, oracle, harder)


if __name__ == "__main__":
    main()
