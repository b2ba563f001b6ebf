#!/usr/bin/env python3
"""What rounding of weights to f16 costs linears on their real inputs (docs/kernels.md, 29).

    tools/rounded_weights.py MODEL BLOCKS

MODEL: a Llama in 16 bits. BLOCKS: lines of {"tokens": [...]}, of which the first is read. Rounds the
linears to 4 bits in groups of 128 with zero points and prints, of each kind, the mean square error
over that of y: as wide_linear multiplies (scale * code - rounded scale * zero in one operation), as
it would with the zero point subtracted before, of rounding y itself, and of the 4 bits; then how
large the mean of 128 inputs is beside their root mean square (1/sqrt(128) = .088 if they have none).
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np

GROUP = 128
F16 = np.float16


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.file = open(folder / "model.safetensors", "rb")
        size = struct.unpack("<Q", self.file.read(8))[0]
        self.entries = json.loads(self.file.read(size))
        self.base = 8 + size

    def __getitem__(self, name):
        entry = self.entries[name]
        begin, end = entry["data_offsets"]
        self.file.seek(self.base + begin)
        raw = self.file.read(end - begin)
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw, {"F16": np.float16, "F32": np.float32}[entry["dtype"]])
        return values.astype(np.float32).reshape(entry["shape"])


def rounded(values):
    return values.astype(F16).astype(np.float64)


def quantized(w):
    groups = w.reshape(len(w), -1, GROUP)
    low = np.minimum(groups.min(2), 0)
    high = np.maximum(groups.max(2), 0)
    scales = np.maximum(((high - low) / 15).astype(F16), F16(1e-6)).astype(np.float64)
    zeros = np.clip(np.round(-low / scales), 0, 15)
    codes = np.clip(np.round(groups / scales[..., None]) + zeros[..., None], 0, 15)
    return codes, zeros, scales


def errors(x, w):
    x = rounded(x)
    codes, zeros, scales = quantized(w)
    # The largest in [2^11, 2^12), products in units of 2^-21 (wide_codes.cuh).
    factor = 2.0 ** (11 - np.floor(np.log2(scales.max())))
    scales *= factor
    unit = 2.0**-21
    exact = (codes - zeros[..., None]) * scales[..., None]
    less = rounded(zeros * scales * unit)[..., None]
    at_once = rounded(codes * scales[..., None] * unit - less) / unit
    before = rounded(exact * unit) / unit
    y = x @ exact.reshape(w.shape).T
    power = (y**2).mean()

    def nmse(difference):
        return (difference**2).mean() / power

    groups = x.reshape(len(x), -1, GROUP)
    return [
        nmse(x @ (at_once - exact).reshape(w.shape).T),
        nmse(x @ (before - exact).reshape(w.shape).T),
        nmse(rounded(y / np.abs(y).max()) * np.abs(y).max() - y),
        nmse(x @ (exact.reshape(w.shape) - factor * w.astype(np.float64)).T),
        np.sqrt((groups.mean(2) ** 2).mean() / (groups**2).mean()),
    ]


def main(folder, blocks):
    model = Model(Path(folder))
    c = model.config
    with open(blocks) as lines:
        ids = np.array(json.loads(lines.readline())["tokens"][:256])
    heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
    d = c.get("head_dim") or c["hidden_size"] // heads
    count = len(ids)
    angles = np.arange(count)[:, None] * c["rope_theta"] ** (-np.arange(0, d, 2) / d)
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    mask = np.triu(np.full((count, count), -1e30), 1)
    found = {}

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + c["rms_norm_eps"]) * model[name]

    def linear(kind, x, *names):
        w = np.concatenate([model[name + ".weight"] for name in names])
        found.setdefault(kind, []).append(errors(x, w))
        return x @ w.T

    def rope(x):
        a, b = x[..., : d // 2], x[..., d // 2 :]
        return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], -1)

    x = model["model.embed_tokens.weight"][ids]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        a = p + "self_attn."
        qkv = linear("qkv", norm(x, p + "input_layernorm.weight"), *(a + t + "_proj" for t in "qkv"))
        q, k, v = np.split(qkv, [heads * d, (heads + kv_heads) * d], 1)
        q = rope(q.reshape(count, heads, d))
        k = rope(k.reshape(count, kv_heads, d))
        v = v.reshape(count, kv_heads, d)
        mixed = np.empty((count, heads, d), np.float32)
        for h in range(heads):
            scores = q[:, h] @ k[:, h * kv_heads // heads].T / np.sqrt(d) + mask
            scores = np.exp(scores - scores.max(1, keepdims=True))
            mixed[:, h] = scores / scores.sum(1, keepdims=True) @ v[:, h * kv_heads // heads]
        x = x + linear("o", mixed.reshape(count, -1), a + "o_proj")
        y = norm(x, p + "post_attention_layernorm.weight")
        both = linear("gate, up", y, p + "mlp.gate_proj", p + "mlp.up_proj")
        gate, up = np.split(both, 2, 1)
        x = x + linear("down", gate / (1 + np.exp(-gate)) * up, p + "mlp.down_proj")
    print("linear    at once  before   y      4 bits   mean of inputs")
    for kind, rows in found.items():
        print(f"{kind:9}", " ".join(f"{v:.1e} " for v in np.mean(rows, 0)))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
