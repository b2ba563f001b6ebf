#!/usr/bin/env python3
"""Reads a compressed-tensors pack-quantized checkpoint with the compressed_tensors library itself, and runs
Transformers on the decompressed weights.

    .venv-oracle/bin/python tools/check_compressed_tensors.py MODEL [--text FILE] [--against FP16_DIR] [--write DIR]

Checks that the library parses quantization_config, that its targets and ignore lists select exactly the modules stored
packed, and that shapes and types are what the library declares for them. Prints the JSON object of `awq eval`.
"""

import json

import oracle_env  # noqa: F401 (first)
import torch
from compressed_tensors.compressors import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
from transformers import AutoModelForCausalLM

import oracle_eval

PARTS = ("weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx")


def schemes(folder, quantization):
    """The library's own choice of what is quantized and how: module name to its weight arguments."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(oracle_eval.plain_config(folder))
    apply_quantization_config(model, quantization)
    found = {name: getattr(m, "quantization_scheme", None) for name, m in model.named_modules()}
    return {name: scheme.weights for name, scheme in found.items() if scheme is not None}


def decompress(name, parts, arguments):
    """f32 [N, K]. Scales are widened first: the library would round the products to their type."""
    library = PackedQuantizationCompressor(config=None)
    n, k = parts["weight_shape"].tolist()
    declared = library.compression_param_info(torch.Size((n, k)), arguments)
    for part, (shape, dtype) in declared.items():
        assert parts[part].shape == shape, (
            f"{name}.{part}: {tuple(parts[part].shape)}, the library expects {tuple(shape)}"
        )
        # compress_weight writes the shape as int64 whatever is declared.
        assert parts[part].dtype == dtype or part == "weight_shape", f"{name}.{part}: {parts[part].dtype}, not {dtype}"
    groups = 1 if arguments.group_size in (None, -1) else k // arguments.group_size
    assert parts["weight_scale"].shape == (n, groups), f"{name}.weight_scale: {tuple(parts['weight_scale'].shape)}"
    assert arguments.symmetric == ("weight_zero_point" not in parts), (
        f"{name}: zero points do not fit symmetric={arguments.symmetric}"
    )
    widened = {**parts, "weight_scale": parts["weight_scale"].float()}
    return library.decompress_weight(widened, arguments).float().contiguous()


def read(folder):
    """The checkpoint's tensors with every linear dequantized, by the names of the unquantized model."""
    raw = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert raw["quant_method"] == "compressed-tensors" and raw["format"] == "pack-quantized", raw
    quantized = schemes(folder, QuantizationConfig.model_validate(raw))
    tensors, plain, packed = oracle_eval.read_tensors(folder), {}, {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part in PARTS:
            packed.setdefault(module, {})[part] = tensor
        else:
            plain[name] = tensor
    assert packed.keys() == quantized.keys(), (
        f"config and tensors disagree on {sorted(packed.keys() ^ quantized.keys())}"
    )
    for module, parts in packed.items():
        plain[f"{module}.weight"] = decompress(module, parts, quantized[module])
    return plain


def main():
    args = oracle_eval.parser(__doc__).parse_args()
    oracle_eval.run(args, read(args.model))


if __name__ == "__main__":
    main()
