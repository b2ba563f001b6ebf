#!/usr/bin/env python3
"""Reads an awq_gemm checkpoint with numpy alone, checks its layout, and runs Transformers on the dequantized weights.

    .venv-oracle/bin/python tools/check_awq_gemm.py MODEL [--text FILE] [--against FP16_DIR] [--write DIR] [--ids 1,2,3]

Prints the JSON object of `awq eval`, so that the two can be compared. Independent of AutoAWQ and of our C++.
"""

import json

import numpy as np
import torch

import oracle_eval

ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # nibble i of a word holds column 8 c + ORDER[i]


def unpack(words):
    """i32 [R, C] to codes [R, 8 C]."""
    words = words.view(np.uint32)
    codes = np.empty((*words.shape, 8), np.uint8)
    for nibble, column in enumerate(ORDER):
        codes[..., column] = (words >> (4 * nibble)) & 15
    return codes.reshape(words.shape[0], -1)


def dequantize(name, qweight, qzeros, scales, group):
    """f32 [N, K] = (code - zero) · scale, shapes checked."""
    k, n = qweight.shape[0], scales.shape[1]
    assert qweight.dtype == qzeros.dtype == np.int32 and scales.dtype == np.float16, f"{name}: wrong types"
    assert k % group == 0 and n % 8 == 0, f"{name}: K={k}, N={n} do not fit groups of {group}"
    assert qweight.shape == (k, n // 8), f"{name}.qweight: {qweight.shape}"
    assert qzeros.shape == (k // group, n // 8), f"{name}.qzeros: {qzeros.shape}"
    assert scales.shape == (k // group, n), f"{name}.scales: {scales.shape}"
    assert np.isfinite(scales).all(), f"{name}.scales: not finite"
    zeros = np.repeat(unpack(qzeros).astype(np.float32), group, axis=0)
    steps = np.repeat(scales.astype(np.float32), group, axis=0)
    return np.ascontiguousarray(((unpack(qweight) - zeros) * steps).T)


def read(folder):
    """The checkpoint's tensors with every linear dequantized, by the names of the unquantized model."""
    quantization = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert (
        quantization["quant_method"] == "awq"
        and quantization["version"].lower() == "gemm"
        and quantization["bits"] == 4
    ), quantization
    tensors, plain = oracle_eval.read_tensors(folder), {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part == "qweight":
            parts = [tensors[f"{module}.{p}"].numpy() for p in ("qweight", "qzeros", "scales")]
            plain[f"{module}.weight"] = torch.from_numpy(dequantize(module, *parts, quantization["group_size"]))
        elif part not in ("qzeros", "scales"):
            plain[name] = tensor
    return plain


def main():
    args = oracle_eval.parser(__doc__).parse_args()
    oracle_eval.run(args, read(args.model))


if __name__ == "__main__":
    main()
