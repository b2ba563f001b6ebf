#!/usr/bin/env python3
"""Writes the tiny random checkpoints of testdata/tiny and the f32 logits that Transformers computes from them.

    .venv-oracle/bin/python tools/make_tiny.py [--only NAME ...] [--out FOLDER]
    .venv-oracle/bin/python tools/make_tiny.py --check       compares a fresh run with what is stored

Each folder holds config.json, the weights, and golden.safetensors with, for each prompt i, tokens_i (I32 [T])
and logits_i (F32 [T, V], every position, the whole prompt in one forward pass, eager attention).
"""

import argparse
import json
import pathlib
import shutil
import tempfile
import zlib
from dataclasses import dataclass, field

import oracle_env  # noqa: F401 (first)
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import HeliumConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOCAB = 128
SHORT = (37, 11)  # prompt lengths
LONG = (37, 11, 70)  # for what depends on length: ORIGINAL lies between 11 and 37
ORIGINAL = 32


@dataclass
class Case:
    config: transformers.PretrainedConfig
    # The same weights under this change of the configuration must give other logits; otherwise the golden
    # could not tell a right implementation from a wrong one.
    control: dict = field(default_factory=dict)
    lengths: tuple = SHORT
    store: torch.dtype = torch.bfloat16
    shard_size: str = "1GB"
    embed_std: float = 1.0
    omit: str = ""  # a key that older versions did not write to config.json, to be derived by the reader


def common(**changes):
    shape = dict(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    return {**shape, **changes}


def llama(**changes):
    return LlamaConfig(**common(**changes))


def scaled(rope_scaling, control=None, **changes):
    """A Llama whose RoPE is stretched from ORIGINAL; by default it must differ from the unscaled one."""
    rope = {"original_max_position_embeddings": ORIGINAL, **rope_scaling}
    return Case(llama(rope_scaling=rope, **changes), control or {"rope_scaling": None}, LONG)


def cases():
    longrope = {
        "rope_type": "longrope",
        "short_factor": [1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0],
        "long_factor": [1.0, 1.3, 1.9, 2.8, 4.0, 5.5, 7.0, 8.0],
    }
    no_original = {"max_position_embeddings": ORIGINAL}
    yarn = {"rope_type": "yarn", "factor": 4.0}
    return {
        # Llama
        "llama_mha": Case(llama(num_key_value_heads=4, rms_norm_eps=1e-3), {"rms_norm_eps": 1e-5}, embed_std=0.03),
        "llama_gqa_tied": Case(llama(tie_word_embeddings=True)),
        "llama_bias": Case(llama(attention_bias=True, mlp_bias=True), {"attention_bias": False, "mlp_bias": False}),
        "llama_head_dim": Case(llama(head_dim=24)),
        "llama_gelu": Case(llama(hidden_act="gelu"), {"hidden_act": "silu"}),
        "llama_gelu_tanh": Case(llama(hidden_act="gelu_pytorch_tanh"), {"hidden_act": "silu"}),
        "llama_f32": Case(llama(intermediate_size=64, tie_word_embeddings=True), store=torch.float32),
        "llama_f16": Case(llama(), store=torch.float16),
        "llama_sharded": Case(llama(), shard_size="100KB"),
        # RoPE scaling
        "rope_linear": Case(llama(rope_scaling={"type": "linear", "factor": 4.0}), {"rope_scaling": None}, LONG),
        "rope_dynamic": Case(
            llama(rope_scaling={"rope_type": "dynamic", "factor": 4.0}, **no_original), {"rope_scaling": None}, LONG
        ),
        "rope_yarn": scaled(yarn),
        "rope_yarn_mscale": scaled(
            {**yarn, "mscale": 0.8, "mscale_all_dim": 0.4, "beta_fast": 16.0, "beta_slow": 2.0},
            {"rope_scaling": {**yarn, "original_max_position_embeddings": ORIGINAL}},
        ),
        "rope_yarn_factor": scaled(
            {**yarn, "attention_factor": 1.4}, {"rope_scaling": {**yarn, "original_max_position_embeddings": ORIGINAL}}
        ),
        "rope_yarn_no_truncate": scaled(
            {**yarn, "truncate": False}, {"rope_scaling": {**yarn, "original_max_position_embeddings": ORIGINAL}}
        ),
        "rope_longrope": Case(
            llama(rope_scaling=longrope, original_max_position_embeddings=ORIGINAL), {"rope_scaling": None}, LONG
        ),
        "rope_longrope_factor": Case(
            llama(rope_scaling={**longrope, "factor": 8.0, "attention_factor": 1.2}, **no_original),
            {"rope_scaling": {**longrope, "factor": 8.0}},
            LONG,
        ),
        "rope_llama3": scaled(
            {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}, rope_theta=500000.0
        ),
        # Helium, Mistral, Qwen
        "helium": Case(HeliumConfig(**common(), head_dim=16, rope_theta=1e5), {"rope_theta": 1e4}),
        "mistral_full": Case(MistralConfig(**common(), sliding_window=None, head_dim=32)),
        "mistral_window": Case(
            MistralConfig(**common(num_hidden_layers=3), sliding_window=8), {"sliding_window": 9}, LONG
        ),
        "qwen2": Case(Qwen2Config(**common(rms_norm_eps=1e-6), rope_theta=1e6), {"rope_theta": 1e4}),
        "qwen2_tied": Case(Qwen2Config(**common(tie_word_embeddings=True), rope_theta=1e6)),
        "qwen2_window": Case(
            Qwen2Config(**common(num_hidden_layers=3), use_sliding_window=True, sliding_window=8, max_window_layers=1),
            {"layer_types": ["sliding_attention"] * 3},
            omit="layer_types",
        ),
        "qwen3": Case(Qwen3Config(**common(rms_norm_eps=1e-6), head_dim=32, rope_theta=1e6)),
        "qwen3_bias_tied": Case(Qwen3Config(**common(tie_word_embeddings=True), head_dim=24, attention_bias=True)),
        "qwen3_window": Case(
            Qwen3Config(
                **common(num_hidden_layers=3),
                head_dim=16,
                use_sliding_window=True,
                sliding_window=8,
                max_window_layers=2,
            ),
            {"layer_types": ["full_attention"] * 3},
        ),
    }


def fill(model, case, seed):
    """Weights with some life in them: peaked attention, uneven norms, biases, logits that differ by several."""
    generator = torch.Generator().manual_seed(seed)

    def randn(shape):
        return torch.randn(shape, generator=generator)

    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_(torch.exp(0.3 * randn(p.shape)))
            elif name.endswith("bias"):
                p.copy_(0.4 * randn(p.shape))
            elif "embed_tokens" in name:
                p.copy_(case.embed_std * randn(p.shape))
            else:
                gain = 2.0 if ("q_proj" in name or "k_proj" in name) else 1.2
                # Some input channels matter more than others, as AWQ presumes.
                p.copy_(gain / p.shape[1] ** 0.5 * randn(p.shape) * torch.exp(0.3 * randn((1, p.shape[1]))))


def prompts(case, seed):
    generator = torch.Generator().manual_seed(seed + 1)
    return [torch.randint(3, VOCAB, (length,), generator=generator) for length in case.lengths]


def logits(folder, tokens, changes):
    """From a model loaded anew: dynamic RoPE keeps state from one prompt to the next."""
    config = transformers.AutoConfig.from_pretrained(folder, **changes)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        return model(tokens[None], use_cache=False).logits[0].contiguous()


def distance(a, b):
    return ((a - b).norm() / b.norm()).item()


def write(folder, name, case):
    seed = zlib.crc32(name.encode())
    model = transformers.AutoModelForCausalLM.from_config(case.config)
    fill(model, case, seed)
    model.to(case.store).save_pretrained(folder, max_shard_size=case.shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config.pop(case.omit, None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    golden, effect = {}, 0.0
    for i, tokens in enumerate(prompts(case, seed)):
        golden[f"tokens_{i}"] = tokens.to(torch.int32)
        golden[f"logits_{i}"] = logits(folder, tokens, {})
        assert torch.isfinite(golden[f"logits_{i}"]).all(), name
        if case.control:
            effect = max(effect, distance(logits(folder, tokens, case.control), golden[f"logits_{i}"]))
    assert not case.control or effect > 5e-3, f"{name}: {case.control} changes the logits by {effect:.1e} only"
    save_file(golden, folder / "golden.safetensors", metadata={"transformers": transformers.__version__})

    size = sum(f.stat().st_size for f in folder.iterdir())
    assert size <= 300_000, f"{name}: {size} bytes, more than 300 KB"
    spread = golden["logits_0"].std().item()
    print(f"{name:22} {size / 1000:5.0f} KB   logits std {spread:.2f}   control {effect:.3f}")


def check(stored, fresh):
    """Weights and tokens bit by bit, logits up to what another machine's summation order changes."""
    assert (stored / "config.json").read_text() == (fresh / "config.json").read_text(), f"{stored}: config.json differs"
    for file in sorted(fresh.glob("*.safetensors")):
        ours, theirs = load_file(stored / file.name), load_file(file)
        assert ours.keys() == theirs.keys(), f"{stored / file.name}: tensors differ"
        for key, tensor in theirs.items():
            same = distance(ours[key], tensor) < 1e-5 if key.startswith("logits") else torch.equal(ours[key], tensor)
            assert same, f"{stored / file.name}: {key} differs"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "testdata" / "tiny")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    known = cases()
    if unknown := set(args.only or ()) - known.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name in args.only or known:
        with tempfile.TemporaryDirectory() as temporary:
            fresh, stored = pathlib.Path(temporary) / name, args.out / name
            write(fresh, name, known[name])
            if args.check:
                check(stored, fresh)
            else:
                shutil.rmtree(stored, ignore_errors=True)
                shutil.copytree(fresh, stored)


if __name__ == "__main__":
    main()
