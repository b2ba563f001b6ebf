#!/usr/bin/env python3
"""Writes testdata/tiny_quantized: a tiny checkpoint, what the real AutoAWQ and compressed_tensors make of it, and the
f32 logits that Transformers computes from their dequantized weights.

    .venv-oracle/bin/python tools/make_tiny_quantized.py

source/ is the 16-bit checkpoint with the token blocks it was calibrated on. Each other folder has golden.safetensors
with tokens_0 (I32 [T]) and logits_0 (F32 [T, V]); autoawq/ also autoawq_choices.safetensors (tools/make_autoawq.py).
"""

import json
import pathlib
import shutil
import subprocess
import sys

import make_tiny  # first: it chooses the libraries
import torch
import transformers
from safetensors.torch import save_file

import check_awq_gemm
import check_compressed_tensors
import oracle_eval

TOOLS = pathlib.Path(__file__).resolve().parent
OUT = make_tiny.ROOT / "testdata" / "tiny_quantized"
BLOCKS, BLOCK = 16, 64
GROUP = "32"


def source_case():
    # AutoAWQ's clip search wants N % 64 == 0; as many kv heads as heads, so that it also searches v → o.
    return make_tiny.Case(
        make_tiny.llama(
            num_attention_heads=2, num_key_value_heads=2, head_dim=32, intermediate_size=128, tie_word_embeddings=True
        )
    )


def run(tool, *arguments):
    subprocess.run([sys.executable, TOOLS / tool, *map(str, arguments)], check=True, stderr=subprocess.DEVNULL)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    shutil.rmtree(OUT, ignore_errors=True)
    source = OUT / "source"
    make_tiny.write(source, "tiny_quantized", source_case())
    blocks = torch.randint(3, make_tiny.VOCAB, (BLOCKS, BLOCK), generator=torch.Generator().manual_seed(1))
    calibration = source / "calibration.jsonl"
    calibration.write_text("".join(json.dumps({"tokens": block}) + "\n" for block in blocks.tolist()))

    # In f32, so that another implementation can make the same choices.
    run(
        "make_autoawq.py",
        source,
        OUT / "autoawq",
        "--calib",
        calibration,
        "--max-calib-seq-len",
        BLOCK,
        "--group-size",
        GROUP,
        "--dtype",
        "float32",
    )
    run("make_compressed_tensors.py", source, OUT / "ct_asym", "--group-size", GROUP)
    run("make_compressed_tensors.py", source, OUT / "ct_sym", "--group-size", GROUP, "--symmetric")
    run("make_compressed_tensors.py", source, OUT / "ct_channel", "--group-size", "-1")

    tokens = torch.randint(3, make_tiny.VOCAB, (37,), generator=torch.Generator().manual_seed(2))
    for folder in sorted(OUT.iterdir()):
        if folder == source:
            continue
        reader = check_awq_gemm if folder.name == "autoawq" else check_compressed_tensors
        model = oracle_eval.build(folder, reader.read(folder))
        with torch.no_grad():
            logits = model(tokens[None], use_cache=False).logits[0].contiguous()
        save_file(
            {"tokens_0": tokens.to(torch.int32), "logits_0": logits},
            folder / "golden.safetensors",
            {"transformers": transformers.__version__},
        )
        (folder / "generation_config.json").unlink(missing_ok=True)
        full = make_tiny.logits(source, tokens, {})
        print(
            f"{folder.name:12} {sum(f.stat().st_size for f in folder.iterdir()) / 1000:5.0f} KB   "
            f"off the source by {make_tiny.distance(logits, full):.3f}"
        )


if __name__ == "__main__":
    main()
