"""Feeds the program damaged checkpoints and hostile outputs and checks how it refuses: one line on stderr that names
the culprit, the documented exit code, nothing left behind, no crash.

    python3 tools/check_bad_input.py [--awq build/bin/awq] [--model models/demo]

The full disk is a small tmpfs, which needs root; without, that case is skipped and says so.
"""
import argparse
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

# Exit codes, as `awq --help` lists them.
INVALID, NOT_FOUND, CORRUPT, UNSUPPORTED, IO = 2, 3, 4, 5, 6


def read_header(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def write_header(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def edit_header(change):
    def damage(folder):
        path = folder / "model.safetensors"
        header, body = read_header(path)
        body = change(header, bytearray(body)) or body
        write_header(path, header, bytes(body))
    return damage


def edit_config(change):
    def damage(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))
    return damage


def truncate(folder, name="model.safetensors", keep=0.5):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * keep)])


def set_nan(header, body):
    name = "model.layers.0.mlp.up_proj.weight"
    begin = header[name]["data_offsets"][0]
    width = {"F32": 4, "BF16": 2, "F16": 2}[header[name]["dtype"]]
    body[begin : begin + width] = b"\xff" * width
    return body


def wrong_shape(header, body):
    rows, columns = header["model.layers.1.self_attn.k_proj.weight"]["shape"]
    header["model.layers.1.self_attn.k_proj.weight"]["shape"] = [rows * 2, columns // 2]


def split_without_shard(folder):
    names = list(read_header(folder / "model.safetensors")[0])
    names = [n for n in names if n != "__metadata__"]
    os.rename(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    files = {n: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, n in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


# name, damage, expected error, words of the message
CASES = [
    ("safetensors cut in half", truncate, CORRUPT, ["model.safetensors"]),
    ("safetensors of 5 bytes", write("model.safetensors", b"12345"), CORRUPT, ["model.safetensors"]),
    ("safetensors empty", write("model.safetensors", b""), CORRUPT, ["model.safetensors"]),
    ("header length absurd", write("model.safetensors", b"\xff" * 64), CORRUPT, ["model.safetensors"]),
    ("header is not JSON", write("model.safetensors", struct.pack("<Q", 8) + b"{{{{{{{{" + b"0" * 64), CORRUPT,
     ["model.safetensors"]),
    ("tensor overlaps another", edit_header(lambda h, b: h["model.norm.weight"].update(data_offsets=[0, 4])), CORRUPT,
     ["model.safetensors"]),
    ("wrong shape", edit_header(wrong_shape), CORRUPT, ["k_proj", "expected", "found"]),
    ("tensor missing", edit_header(lambda h, b: h.pop("model.layers.1.self_attn.k_proj.weight") and None), CORRUPT,
     ["model.safetensors", "gap"]),
    ("NaN weight", edit_header(set_nan), CORRUPT, ["up_proj", "finite"]),
    ("shard missing", split_without_shard, NOT_FOUND, ["model-00002-of-00002.safetensors"]),
    ("no weights", remove("model.safetensors"), NOT_FOUND, ["safetensors"]),
    ("no config", remove("config.json"), NOT_FOUND, ["config.json"]),
    ("config is not JSON", write("config.json", b'{"model_type": "llama", '), CORRUPT, ["config.json"]),
    ("config is a list", write("config.json", b"[]"), CORRUPT, ["config.json"]),
    ("unknown architecture", edit_config(lambda c: c.update(model_type="mamba9", architectures=["Mamba9LM"])),
     UNSUPPORTED, ["mamba9", "llama"]),
    ("heads of type string", edit_config(lambda c: c.update(num_attention_heads="8")), CORRUPT,
     ["num_attention_heads"]),
    ("zero heads", edit_config(lambda c: c.update(num_attention_heads=0)), CORRUPT, ["num_attention_heads"]),
    ("layers in billions", edit_config(lambda c: c.update(num_hidden_layers=2**31)), CORRUPT, ["num_hidden_layers"]),
    ("hidden size negative", edit_config(lambda c: c.update(hidden_size=-512)), CORRUPT, ["hidden_size"]),
    ("unknown activation", edit_config(lambda c: c.update(hidden_act="swishier")), UNSUPPORTED, ["swishier"]),
    ("tokenizer cut", lambda f: truncate(f, "tokenizer.json"), CORRUPT, ["tokenizer.json"]),
    ("no tokenizer", remove("tokenizer.json"), NOT_FOUND, ["tokenizer.json"]),
    ("tokenizer ids outside the vocabulary", edit_config(lambda c: c.update(vocab_size=100)), CORRUPT, ["vocabulary of 100"]),
]


def run(command):
    result = subprocess.run(command, capture_output=True, timeout=120)
    return result.returncode, result.stderr.decode(errors="replace")


class Report:
    def __init__(self):
        self.bad = 0

    def line(self, name, code, stderr, problems):
        last = [line for line in stderr.splitlines() if line.startswith("awq: ")]
        print(f"{'ok ' if not problems else 'BAD'} {name:38} exit {code:3}  {last[-1] if last else stderr[-200:]!r}")
        for problem in problems:
            print("      " + problem)
        self.bad += bool(problems)

    def judge(self, name, code, stderr, expected, words, parent, before):
        problems = []
        messages = [line for line in stderr.splitlines() if line.startswith("awq: ")]
        if code < 0 or code >= 128:
            problems.append(f"died of signal {code}")
        if expected is not None and code != expected:
            problems.append(f"expected exit code {expected}")
        if code == 0:
            problems.append("succeeded")
        if len(messages) != 1:
            problems.append(f"expected one message, found {len(messages)}")
        problems += [f"the message does not name {w!r}" for w in words if w not in stderr]
        left = sorted(set(os.listdir(parent)) - before)
        if left:
            problems.append(f"left behind: {left}")
        self.line(name, code, stderr, problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awq", type=pathlib.Path, default=pathlib.Path("build/bin/awq"))
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/demo"))
    args = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)

        def fresh(name):
            folder = work / name.replace(" ", "_")
            shutil.copytree(args.model, folder)
            return folder

        for name, damage, expected, words in CASES:
            folder = fresh(name)
            damage(folder)
            before = set(os.listdir(work))
            # Two blocks: a case that is not refused shall not take minutes.
            code, stderr = run([args.awq, "quantize", folder, "-o", work / "out", "--max-calib-samples", "2"])
            report.judge(name, code, stderr, expected, words, work, before)

        folder = fresh("good")
        before = set(os.listdir(work))
        (work / "full").mkdir()
        (work / "full" / "file").write_text("x")
        before.add("full")
        code, stderr = run([args.awq, "quantize", folder, "-o", work / "full", "--method", "rtn"])
        report.judge("output exists", code, stderr, INVALID, ["full"], work, before)
        if (work / "full" / "file").read_text() != "x":
            report.line("output exists", code, stderr, ["the folder was touched"])
        code, stderr = run([args.awq, "quantize", folder, "-o", folder / "config.json" / "x", "--method", "rtn"])
        report.judge("output below a file", code, stderr, IO, ["config.json"], work, before)
        if os.geteuid() == 0:
            (work / "tiny").mkdir()
            before.add("tiny")
            for size in ("64k", "2m", "8m"):
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", work / "tiny"], check=True)
                try:
                    code, stderr = run([args.awq, "quantize", folder, "-o", work / "tiny" / "out", "--method", "rtn"])
                    report.judge(f"full disk ({size})", code, stderr, IO, ["out"], work / "tiny", set())
                    subprocess.run(["mount", "-o", "remount,ro", work / "tiny"], check=True)
                    code, stderr = run([args.awq, "quantize", folder, "-o", work / "tiny" / "out", "--method", "rtn"])
                    report.judge("read-only output", code, stderr, IO, ["tiny"], work / "tiny", set())
                finally:
                    subprocess.run(["umount", work / "tiny"], check=True)
        else:
            print("--  full disk, read-only output: skipped, they need root")

        calib = work / "calib.jsonl"
        before = set(os.listdir(work)) | {"calib.jsonl"}
        for name, data, words in (
            ("calibration is not JSON", b'{"text": ', ["calib.jsonl", "line 1"]),
            ("calibration without text", b'{"texts": "a"}\n', ["calib.jsonl", "text"]),
            ("calibration token out of range", b'{"tokens": [1, 99999999]}\n', ["calib.jsonl", "99999999"]),
            ("calibration empty", b"", ["calib.jsonl"]),
        ):
            calib.write_bytes(data)
            code, stderr = run([args.awq, "quantize", folder, "-o", work / "out", "--calib", calib])
            report.judge(name, code, stderr, None, words, work, before)
    print(f"{report.bad} bad" if report.bad else "all refused as documented")
    raise SystemExit(report.bad > 0)


if __name__ == "__main__":
    main()
