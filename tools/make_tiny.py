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
from transformers import (
    BloomConfig,
    CohereConfig,
    DeepseekV2Config,
    DeepseekV3Config,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPTBigCodeConfig,
    GPTJConfig,
    GPTNeoXConfig,
    GraniteConfig,
    HeliumConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    MptConfig,
    OlmoConfig,
    OPTConfig,
    Phi3Config,
    PhiConfig,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
    StableLmConfig,
    Starcoder2Config,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOCAB = 128
SHORT = (37, 11)  # prompt lengths
LONG = (37, 11, 70)  # for what depends on length: ORIGINAL lies between 11 and 37
ORIGINAL = 32
TABLES = ("embed_tokens", "embed_positions", "embed_in", "word_embeddings", "wte", "wpe")
QUERIES_AND_KEYS = ("q_proj", "k_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv")


@dataclass
class Case:
    config: transformers.PretrainedConfig
    # The same weights under this change of the configuration (under each of these, if it is a list) must give
    # other logits; otherwise the golden could not tell a right implementation from a wrong one.
    control: dict | list = field(default_factory=dict)
    lengths: tuple = SHORT
    store: torch.dtype = torch.bfloat16
    shard_size: str = "1GB"
    embed_std: float = 1.0
    # Eager Falcon adds ALiBi twice, as a part of the mask and by itself.
    attention: str = "eager"
    # The experts' weights in one tensor a layer: "rows" [E, 2F, D], or "columns" [E, D, 2F], as some writers do.
    fuse_experts: str = ""
    omit: tuple = ()  # keys that older versions did not write to config.json, to be derived by the reader


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


def phi3(**changes):
    return Phi3Config(**common(bos_token_id=1, eos_token_id=2, **changes), pad_token_id=0)


def gpt_neox(**changes):
    shape = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4)
    return GPTNeoXConfig(**{**shape, "max_position_embeddings": 256, **changes})


def opt(**changes):
    shape = dict(vocab_size=VOCAB, hidden_size=64, ffn_dim=96, num_hidden_layers=2, num_attention_heads=4)
    return OPTConfig(**{**shape, "max_position_embeddings": 128, "pad_token_id": 1, **changes})


def falcon(**changes):
    shape = dict(vocab_size=VOCAB, hidden_size=64, num_hidden_layers=2, num_attention_heads=4)
    return FalconConfig(**{**shape, "max_position_embeddings": 256, "bos_token_id": 1, "eos_token_id": 2, **changes})


def gpt(config, **changes):
    shape = dict(vocab_size=VOCAB, n_embd=64, n_layer=2, n_head=4, n_positions=128, bos_token_id=1, eos_token_id=2)
    return config(**{**shape, **changes})


def scaled(rope_scaling, control=None, **changes):
    """A Llama whose RoPE is stretched from ORIGINAL; by default it must differ from the unscaled one."""
    rope = {"original_max_position_embeddings": ORIGINAL, **rope_scaling}
    return Case(llama(rope_scaling=rope, **changes), control or {"rope_scaling": None}, LONG)


def mla(**changes):
    """What DeepSeek's configurations have beyond the common keys."""
    shape = dict(
        kv_lora_rank=32,
        q_lora_rank=32,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=16,
        num_key_value_heads=4,
        intermediate_size=32,
        moe_intermediate_size=32,
        n_routed_experts=8,
        n_shared_experts=1,
        num_experts_per_tok=3,
        n_group=4,
        topk_group=2,
        first_k_dense_replace=1,
        routed_scaling_factor=1.5,
    )
    return common(**{**shape, **changes})


def cases():
    longrope = {
        "rope_type": "longrope",
        "short_factor": [1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0],
        "long_factor": [1.0, 1.3, 1.9, 2.8, 4.0, 5.5, 7.0, 8.0],
    }
    no_original = {"max_position_embeddings": ORIGINAL}
    yarn = {"rope_type": "yarn", "factor": 4.0}
    deepseek_yarn = {**yarn, "original_max_position_embeddings": ORIGINAL, "mscale": 0.7, "mscale_all_dim": 0.5}
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
        # Gemma, Phi-3
        "gemma": Case(
            GemmaConfig(**common(num_key_value_heads=1, tie_word_embeddings=True), head_dim=24), {"hidden_act": "silu"}
        ),
        "gemma2": Case(
            Gemma2Config(
                **common(num_hidden_layers=3, tie_word_embeddings=True),
                head_dim=16,
                query_pre_attn_scalar=20,
                sliding_window=8,
                attn_logit_softcapping=3.0,
                final_logit_softcapping=5.0,
            ),
            [
                {"sliding_window": 9},
                {"query_pre_attn_scalar": 16},
                {"attn_logit_softcapping": None},
                {"final_logit_softcapping": None},
            ],
            LONG,
            omit=("layer_types",),
        ),
        "phi3": Case(phi3(sliding_window=8), [{"sliding_window": 9}, {"hidden_act": "gelu"}]),
        "phi3_longrope": Case(
            phi3(
                partial_rotary_factor=0.75,
                original_max_position_embeddings=ORIGINAL,
                rope_scaling={
                    "type": "longrope",
                    "short_factor": [1.0, 1.1, 1.2, 1.4, 1.7, 2.0],
                    "long_factor": [1.0, 1.5, 2.5, 4.0, 6.0, 8.0],
                },
            ),
            {"rope_scaling": None},
            LONG,
        ),
        # GPT-NeoX, OPT, Bloom, Falcon
        "gpt_neox": Case(
            gpt_neox(),
            [{"partial_rotary_factor": 0.5}, {"use_parallel_residual": False}, {"hidden_act": "relu"}],
            omit=("partial_rotary_factor", "rope_theta"),
        ),
        "gpt_neox_sequential": Case(
            gpt_neox(use_parallel_residual=False, attention_bias=False, rotary_pct=1.0, rotary_emb_base=500),
            {"rope_theta": 10000},
            omit=("partial_rotary_factor", "rope_theta"),
        ),
        "opt": Case(opt(), {"activation_function": "gelu"}),
        "opt_post_norm": Case(opt(do_layer_norm_before=False, word_embed_proj_dim=32), {"activation_function": "gelu"}),
        "opt_no_bias": Case(opt(enable_bias=False, activation_function="gelu"), {"activation_function": "relu"}),
        "bloom": Case(BloomConfig(vocab_size=VOCAB, hidden_size=64, n_layer=2, n_head=4), {"layer_norm_epsilon": 0.5}),
        "falcon_7b": Case(falcon(), {"activation": "relu"}),
        "falcon_40b": Case(falcon(new_decoder_architecture=True, num_kv_heads=2), {"rope_theta": 100.0}),
        "falcon_11b": Case(
            falcon(new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1), {"rope_theta": 100.0}
        ),
        "falcon_rw": Case(
            falcon(
                hidden_size=96,
                num_attention_heads=6,
                ffn_hidden_size=96,
                alibi=True,
                bias=True,
                multi_query=False,
                parallel_attn=False,
            ),
            {"activation": "relu"},
            attention="sdpa",
        ),
        # Parallel blocks, LayerNorms, factors
        "cohere": Case(
            CohereConfig(**common(tie_word_embeddings=True), logit_scale=0.25), [{"logit_scale": 0.5}, {"rope_theta": 1e2}]
        ),
        "gpt_bigcode": Case(gpt(GPTBigCodeConfig), {"activation_function": "relu"}),
        "gpt_bigcode_mha": Case(gpt(GPTBigCodeConfig, multi_query=False, n_inner=96), {"activation_function": "relu"}),
        "gptj": Case(gpt(GPTJConfig, rotary_dim=8, n_inner=96), {"activation_function": "relu"}),
        "granite": Case(
            GraniteConfig(
                **common(),
                embedding_multiplier=3.0,
                attention_multiplier=0.5,
                residual_multiplier=0.4,
                logits_scaling=2.0,
            ),
            [
                {"embedding_multiplier": 1.0},
                {"attention_multiplier": 0.25},
                {"residual_multiplier": 1.0},
                {"logits_scaling": 1.0},
            ],
        ),
        "mpt": Case(
            MptConfig(
                vocab_size=VOCAB,
                d_model=64,
                n_heads=4,
                n_layers=2,
                max_seq_len=256,
                attn_config=dict(clip_qkv=0.9),
            ),
            {"layer_norm_epsilon": 0.5},
        ),
        "phi": Case(
            PhiConfig(**common(num_key_value_heads=4)), [{"partial_rotary_factor": 1.0}, {"hidden_act": "relu"}]
        ),
        "stablelm": Case(StableLmConfig(**common(), use_qkv_bias=True), {"partial_rotary_factor": 0.5}),
        "stablelm_parallel": Case(StableLmConfig(**common(), use_parallel_residual=True), {"partial_rotary_factor": 0.5}),
        "starcoder2": Case(
            Starcoder2Config(**common(tie_word_embeddings=True), sliding_window=8, hidden_act="gelu_pytorch_tanh"),
            {"sliding_window": 9},
        ),
        "gemma3": Case(
            Gemma3TextConfig(
                **common(num_hidden_layers=3, tie_word_embeddings=True),
                head_dim=16,
                query_pre_attn_scalar=20,
                sliding_window=8,
                sliding_window_pattern=3,
                rope_theta=5e4,
                rope_local_base_freq=300.0,
            ),
            [{"sliding_window": 9}, {"query_pre_attn_scalar": 16}, {"rope_theta": 1e3}, {"rope_local_base_freq": 1e4}],
            LONG,
            omit=("layer_types",),
        ),
        # OLMo, Helium, Mistral, Qwen
        "olmo": Case(OlmoConfig(**common(), clip_qkv=0.8), {"clip_qkv": None}),
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
            omit=("layer_types",),
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
        # Routed experts
        "mixtral": Case(
            MixtralConfig(**common(intermediate_size=32), num_local_experts=6, num_experts_per_tok=2),
            {"num_experts_per_tok": 1},
        ),
        "mixtral_window": Case(
            MixtralConfig(
                **common(intermediate_size=32, num_hidden_layers=1), num_local_experts=4, sliding_window=8, head_dim=24
            ),
            {"sliding_window": 9},
        ),
        "mixtral_fused": Case(
            MixtralConfig(**common(intermediate_size=32, num_hidden_layers=1), num_local_experts=4),
            fuse_experts="rows",
        ),
        "qwen2_moe": Case(
            Qwen2MoeConfig(
                **common(),
                num_experts=6,
                num_experts_per_tok=3,
                moe_intermediate_size=32,
                shared_expert_intermediate_size=64,
                decoder_sparse_step=2,
            ),
            {"norm_topk_prob": True},
        ),
        "qwen3_moe": Case(
            Qwen3MoeConfig(
                **common(),
                head_dim=32,
                num_experts=8,
                num_experts_per_tok=3,
                moe_intermediate_size=32,
                norm_topk_prob=True,
                mlp_only_layers=[0],
            ),
            {"norm_topk_prob": False},
        ),
        "qwen3_moe_top1": Case(
            Qwen3MoeConfig(
                **common(num_hidden_layers=1),
                head_dim=16,
                num_experts=8,
                num_experts_per_tok=1,
                moe_intermediate_size=32,
                attention_bias=True,
            ),
            {"norm_topk_prob": True},
        ),
        "qwen3_moe_fused": Case(
            Qwen3MoeConfig(
                **common(num_hidden_layers=1),
                head_dim=16,
                num_experts=8,
                num_experts_per_tok=2,
                moe_intermediate_size=32,  # 2F = D: the shape of gate_up_proj alone tells nothing
            ),
            fuse_experts="columns",
        ),
        "deepseek_v3": Case(
            DeepseekV3Config(**mla(), rope_scaling=deepseek_yarn),
            {"rope_scaling": {**deepseek_yarn, "mscale_all_dim": 0.7}},
            LONG,
        ),
        "deepseek_v3_groups": Case(DeepseekV3Config(**mla(num_hidden_layers=1, first_k_dense_replace=0)), {"topk_group": 4}),
        "deepseek_v3_plain": Case(
            DeepseekV3Config(
                **mla(q_lora_rank=None, n_group=1, topk_group=1, n_shared_experts=2, v_head_dim=24),
                norm_topk_prob=False,
                rope_interleave=False,
                attention_bias=True,
            ),
            {"rope_interleave": True},
        ),
        "deepseek_v2": Case(
            DeepseekV2Config(**mla(), topk_method="group_limited_greedy"), {"topk_method": "greedy"}
        ),
        "deepseek_v2_lite": Case(
            DeepseekV2Config(**mla(q_lora_rank=None, n_group=1, topk_group=1, n_shared_experts=2), topk_method="greedy"),
            {"routed_scaling_factor": 1.0},
        ),
    }


def fuse_experts(folder, layout):
    """Replaces "….experts.N.*" of one file by "….experts.gate_up_proj" and "….experts.down_proj"."""
    parts = {"gate_proj": "gate", "up_proj": "up", "down_proj": "down", "w1": "gate", "w3": "up", "w2": "down"}
    tensors, experts = {}, {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        prefix, found, rest = name.partition(".experts.")
        if not found:
            tensors[name] = tensor
            continue
        index, part, _ = rest.split(".")
        experts.setdefault(prefix, {})[int(index), parts[part]] = tensor
    for prefix, weights in experts.items():
        count = max(index for index, _ in weights) + 1
        gate_up = torch.stack([torch.cat([weights[i, "gate"], weights[i, "up"]]) for i in range(count)])
        down = torch.stack([weights[i, "down"] for i in range(count)])
        for part, tensor in ("gate_up_proj", gate_up), ("down_proj", down):
            if layout == "columns":
                tensor = tensor.transpose(1, 2)
            tensors[f"{prefix}.experts.{part}"] = tensor.contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def fill(model, case, seed):
    """Weights with some life in them: peaked attention, uneven norms, biases, logits that differ by several."""
    generator = torch.Generator().manual_seed(seed)

    def randn(shape):
        return torch.randn(shape, generator=generator)

    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias"):
                p.copy_(0.4 * randn(p.shape))
            elif p.dim() == 1:  # of a norm; Gemma's add 1
                offset = 1.0 if case.config.model_type.startswith("gemma") else 0.0
                p.copy_(torch.exp(0.3 * randn(p.shape)) - offset)
            elif any(table in name for table in TABLES):
                p.copy_(case.embed_std * randn(p.shape))
            else:
                peaked = (*QUERIES_AND_KEYS, "q_b_proj", "mlp.gate.", "moe.gate.")
                gain = 2.0 if any(part in name for part in peaked) else 1.2
                # Some input channels matter more than others, as AWQ presumes.
                p.copy_(gain / p.shape[1] ** 0.5 * randn(p.shape) * torch.exp(0.3 * randn((1, p.shape[1]))))
        for name, b in model.named_buffers():
            if "correction_bias" in name:
                b.copy_(0.3 * randn(b.shape))


def prompts(case, seed):
    generator = torch.Generator().manual_seed(seed + 1)
    return [torch.randint(3, VOCAB, (length,), generator=generator) for length in case.lengths]


def logits(folder, tokens, changes, attention):
    """From a model loaded anew: dynamic RoPE keeps state from one prompt to the next."""
    config = transformers.AutoConfig.from_pretrained(folder, **changes)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation=attention
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
    for key in case.omit:
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    controls = case.control if isinstance(case.control, list) else [case.control]
    golden, effects = {}, [0.0] * len(controls)
    for i, tokens in enumerate(prompts(case, seed)):
        golden[f"tokens_{i}"] = tokens.to(torch.int32)
        golden[f"logits_{i}"] = logits(folder, tokens, {}, case.attention)
        assert torch.isfinite(golden[f"logits_{i}"]).all(), name
        for c, control in enumerate(controls if case.control else []):
            effects[c] = max(effects[c], distance(logits(folder, tokens, control, case.attention), golden[f"logits_{i}"]))
    for control, effect in zip(controls, effects):
        assert not case.control or effect > 5e-3, f"{name}: {control} changes the logits by {effect:.1e} only"
    if case.fuse_experts:
        fuse_experts(folder, case.fuse_experts)
    save_file(golden, folder / "golden.safetensors", metadata={"transformers": transformers.__version__})

    size = sum(f.stat().st_size for f in folder.iterdir())
    assert size <= 300_000, f"{name}: {size} bytes, more than 300 KB"
    spread = golden["logits_0"].std().item()
    print(f"{name:22} {size / 1000:5.0f} KB   logits std {spread:.2f}   control {min(effects):.3f}")


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
