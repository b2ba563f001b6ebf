#!/usr/bin/env python3
"""Writes a pack-quantized checkpoint (plain rounding) with the compressed_tensors library: what llm-compressor's writer
produces, to load and to compare names, types, shapes and config.json with.

    .venv-oracle/bin/python tools/make_compressed_tensors.py MODEL OUT [--group-size 128|-1] [--symmetric]
"""

import argparse
import pathlib

import oracle_env  # noqa: F401 (first)
import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    QuantizationStatus,
    apply_quantization_config,
)
from compressed_tensors.quantization.utils import calculate_qparams
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--symmetric", action="store_true")
    args = parser.parse_args()

    strategy = (
        {"strategy": "channel"} if args.group_size == -1 else {"strategy": "group", "group_size": args.group_size}
    )
    weights = QuantizationArgs(num_bits=4, type="int", symmetric=args.symmetric, observer="minmax", **strategy)
    config = QuantizationConfig(
        config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=weights)},
        ignore=["lm_head"],
        format="pack-quantized",
        quantization_status=QuantizationStatus.FROZEN,
    )
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="auto")
    apply_quantization_config(model, config)
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "quantization_scheme", None) is None:
                continue
            groups = module.weight.unflatten(
                -1, (-1, args.group_size if args.group_size > 0 else module.weight.shape[1])
            )
            scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), weights)
            module.weight_scale.copy_(scale)
            if hasattr(module, "weight_zero_point"):
                module.weight_zero_point.copy_(zero)
    compressor = ModelCompressor(quantization_config=config)
    compressor.compress_model(model)
    model.save_pretrained(args.out)
    compressor.update_config(args.out)
    if (args.model / "tokenizer.json").exists():
        AutoTokenizer.from_pretrained(args.model).save_pretrained(args.out)


if __name__ == "__main__":
    main()
