#!/usr/bin/env python3
"""Writes testdata/gradients/NAME.safetensors: gradients that PyTorch computes for tiny checkpoints of testdata/tiny.

    .venv-oracle/bin/python tools/make_gradient_goldens.py [--only NAME ...]
    .venv-oracle/bin/python tools/make_gradient_goldens.py --check      compares a fresh run with what is stored

The loss of prompt i of golden.safetensors is the sum over its positions of -log p(label). Each file holds labels_i
(I32 [T]) and stream_i (F32 [T, D]), the gradient with respect to what the first layer reads; of some models also
final_1, that with respect to what the last layer gives, and, for every linear module of the first layer, the gradient
[T, N] of prompt 1 with respect to what it gives, under the module's name.

Routed experts and latent attention count as constants, as in awq/quant/fisher.
"""

import argparse
import pathlib
import tempfile
import zlib

import oracle_env  # noqa: F401 (first)
import make_tiny
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
# With the gradients of the first layer's linears too.
WHOLE = ("llama_gqa_tied", "llama_bias", "qwen2", "qwen3_bias_tied", "gemma2", "gpt_neox", "mistral_window", "phi3")
STREAM = (
    *("llama_gelu", "llama_gelu_tanh", "rope_dynamic", "rope_linear", "rope_yarn_mscale", "rope_longrope_factor"),
    *("rope_llama3", "phi3_longrope", "gemma", "gemma3", "gpt_neox_sequential", "opt", "opt_post_norm", "bloom"),
    *("falcon_7b", "falcon_40b", "falcon_rw", "cohere", "gpt_bigcode", "gptj", "granite", "mpt", "phi", "stablelm"),
    *("stablelm_parallel", "starcoder2", "olmo", "helium", "qwen3", "mixtral", "qwen2_moe", "deepseek_v2_lite", "deepseek_v3"),
)


def is_constant(module):
    kind = type(module).__name__
    return kind.endswith(("Moe", "MoE", "MoeBlock")) or (kind.startswith("Deepseek") and kind.endswith("Attention"))


def detached(output):
    return tuple(map(detached, output)) if isinstance(output, tuple) else output.detach() if torch.is_tensor(output) else output


def first(output):
    return output[0] if isinstance(output, tuple) else output


class Recorder:
    """Keeps the gradients of tensors that pass by."""

    def __init__(self, model):
        self.tensors = {}
        layers = next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList))
        layers[0].register_forward_pre_hook(self.entry, with_kwargs=True)
        layers[-1].register_forward_hook(lambda _m, _i, output: self.keep("final", first(output)))
        for name, module in model.named_modules():
            if is_constant(module):
                module.register_forward_hook(lambda _m, _i, output: detached(output))
            elif module in set(layers[0].modules()) and isinstance(module, torch.nn.Linear):
                module.register_forward_hook(lambda _m, _i, output, name=name: self.keep(name, output))

    def keep(self, name, tensor):
        tensor.retain_grad()
        self.tensors[name] = tensor

    def entry(self, _module, args, kwargs):
        # A copy, so that nothing but the layer reads it.
        if args:
            copy = args[0].clone()
            args = (copy, *args[1:])
        else:
            copy = kwargs["hidden_states"].clone()
            kwargs = {**kwargs, "hidden_states": copy}
        self.keep("stream", copy)
        return args, kwargs


def gradients(folder, tokens, labels, attention):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    ).eval()
    recorder = Recorder(model)
    logits = model(tokens[None].long(), use_cache=False).logits[0]
    torch.nn.functional.cross_entropy(logits, labels.long(), reduction="sum").backward()
    return {
        name: t.grad.reshape(tokens.shape[0], -1).contiguous() for name, t in recorder.tensors.items() if t.grad is not None
    }


def write(name, case, path):
    folder = ROOT / "testdata" / "tiny" / name
    prompts = load_file(folder / "golden.safetensors")
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + 2)
    golden = {}
    for i in range(2):
        tokens = prompts[f"tokens_{i}"]
        labels = torch.randint(0, make_tiny.VOCAB, tokens.shape, generator=generator, dtype=torch.int32)
        found = gradients(folder, tokens, labels, case.attention)
        golden |= {f"labels_{i}": labels, f"stream_{i}": found.pop("stream")}
    if name in WHOLE:
        golden |= {"final_1": found.pop("final"), **found}
    assert all(torch.isfinite(t).all() for t in golden.values()), name
    save_file(golden, path, metadata={"transformers": transformers.__version__})
    size = path.stat().st_size
    assert size <= 40_000, f"{name}: {size} bytes, more than 40 KB"
    print(f"{name:22} {size / 1000:5.0f} KB   {len(golden)} tensors")


def check(stored, fresh):
    ours, theirs = load_file(stored), load_file(fresh)
    assert ours.keys() == theirs.keys(), f"{stored}: tensors differ"
    for key, tensor in theirs.items():
        same = torch.equal(ours[key], tensor) if key.startswith("labels") else make_tiny.distance(ours[key], tensor) < 1e-5
        assert same, f"{stored}: {key} differs"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=WHOLE + STREAM)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cases = make_tiny.cases()
    folder = ROOT / "testdata" / "gradients"
    folder.mkdir(exist_ok=True)
    for name in args.only or WHOLE + STREAM:
        stored = folder / f"{name}.safetensors"
        if not args.check:
            write(name, cases[name], stored)
            continue
        with tempfile.TemporaryDirectory() as temporary:
            fresh = pathlib.Path(temporary) / stored.name
            write(name, cases[name], fresh)
            check(stored, fresh)


if __name__ == "__main__":
    main()
