#!/usr/bin/env python3
"""Writes a Llama checkpoint as a model of another family that computes the same function.

    python3 tools/reexpress.py MODEL FAMILY OUT [--seed 1] [--experts 4]

    phi3        q, k, v in one module, gate and up in another
    helium      rows of q and k in the order in which neighbouring elements rotate together
    granite     embeddings, scores, what each part adds and logits with factors of their own
    gemma       norms as w - 1, embeddings divided by what the model multiplies them by; both in F32
    mixtral     two of the experts for every token: each the MLP, its neurons in an order of its own
    qwen2_moe   half of the MLP's neurons as the gated shared expert, half as two of the experts

Routers are random: where a token goes changes nothing but what an expert is calibrated on. Factors are powers
of two, so that all families but gemma keep the weights of the source to the bit; gemma rounds to F32. `awq eval
OUT --against MODEL` checks it. Takes one BF16 file with a tied head, no scaled RoPE, no biases.
"""
import argparse
import array
import json
import math
import operator
import pathlib
import random
import shutil
import struct

ACTIVE = 2  # experts of a token
FLOATS = array.array("f", struct.pack("<65536I", *(word << 16 for word in range(1 << 16))))  # of all BF16 words


class Matrix:
    """Rows of BF16 words, or of floats; a vector is one row."""

    def __init__(self, shape, rows):
        self.shape, self.rows = shape, rows

    def pick(self, order):
        return Matrix([len(order), *self.shape[1:]], [self.rows[i] for i in order])

    def pick_columns(self, order):
        take = operator.itemgetter(*order)
        return Matrix([self.shape[0], len(order)], [array.array("H", take(row)) for row in self.rows])

    def times(self, factor):
        """By a power of two."""
        table = array.array("H", (bf16(f * factor) for f in FLOATS))
        return Matrix(self.shape, [array.array("H", map(table.__getitem__, row)) for row in self.rows])

    def floats(self, function):
        """Element by element, in F32."""
        table = array.array("f", map(function, FLOATS))
        return Matrix(self.shape, [array.array("f", map(table.__getitem__, row)) for row in self.rows])

    def dtype(self):
        return "BF16" if self.rows[0].typecode == "H" else "F32"


def bf16(value):
    """The upper half of the value's bits, which are all that it has; values too large become infinite."""
    try:
        return struct.unpack("<I", struct.pack("<f", value))[0] >> 16
    except OverflowError:
        return 0x7F80


def below(*matrices):
    """One below the other."""
    rows = [row for m in matrices for row in m.rows]
    return Matrix([len(rows), *matrices[0].shape[1:]], rows)


def read(path):
    """Names to matrices of a safetensors file in BF16."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            raise SystemExit(f"{path}: {name}: expected BF16, found {entry['dtype']}")
        begin, end = (8 + size + at for at in entry["data_offsets"])
        words, width = array.array("H", data[begin:end]), entry["shape"][-1]
        rows = [words[at : at + width] for at in range(0, len(words), width)]
        tensors[name] = Matrix(entry["shape"], rows)
    return tensors


def write(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        m = tensors[name]
        size = sum(len(row) * row.itemsize for row in m.rows)
        header[name] = {"dtype": m.dtype(), "shape": m.shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            for row in tensors[name].rows:
                row.tofile(file)


class Source:
    def __init__(self, folder, seed, experts):
        self.config = json.loads((folder / "config.json").read_text())
        c = self.config
        if c["model_type"] != "llama" or c.get("rope_scaling") or not c["tie_word_embeddings"]:
            raise SystemExit(f"{folder}: expected a Llama model with a tied head and plain RoPE")
        self.tensors = read(folder / "model.safetensors")
        if any(name.endswith(".bias") for name in self.tensors):
            raise SystemExit(f"{folder}: expected no biases")
        self.layers = [f"model.layers.{i}." for i in range(c["num_hidden_layers"])]
        self.random = random.Random(seed)
        self.experts = experts

    def become(self, model_type, architecture, **changes):
        self.config.update(changes, model_type=model_type, architectures=[architecture])

    def take(self, *names):
        return [self.tensors.pop(name + ".weight") for name in names]

    def put(self, name, matrix):
        self.tensors[name + ".weight"] = matrix

    def change(self, name, change):
        self.put(name, change(*self.take(name)))

    def put_experts(self, mlp, names, gate, up, down):
        """These neurons for every expert, each in an order of its own."""
        neurons, hidden = gate.shape
        rows = [[self.random.gauss(0, 1) for _ in range(hidden)] for _ in range(self.experts)]
        self.put(mlp + "gate", Matrix([self.experts, hidden], [array.array("H", map(bf16, row)) for row in rows]))
        for e in range(self.experts):
            order = self.random.sample(range(neurons), neurons)
            for name, matrix in zip(names, (gate.pick(order), up.pick(order), down.pick_columns(order)), strict=True):
                self.put(f"{mlp}experts.{e}.{name}", matrix)


def phi3(s):
    s.become("phi3", "Phi3ForCausalLM", partial_rotary_factor=1.0, sliding_window=None,
             original_max_position_embeddings=s.config["max_position_embeddings"])
    for layer in s.layers:
        attn, mlp = layer + "self_attn.", layer + "mlp."
        s.put(attn + "qkv_proj", below(*s.take(attn + "q_proj", attn + "k_proj", attn + "v_proj")))
        s.put(mlp + "gate_up_proj", below(*s.take(mlp + "gate_proj", mlp + "up_proj")))


def helium(s):
    s.become("helium", "HeliumForCausalLM")
    d = s.config["head_dim"]

    def interleave(w):
        return w.pick([head + i // 2 + i % 2 * d // 2 for head in range(0, w.shape[0], d) for i in range(d)])

    for layer in s.layers:
        s.change(layer + "self_attn.q_proj", interleave)
        s.change(layer + "self_attn.k_proj", interleave)


def granite(s):
    scores = 2 / math.sqrt(s.config["head_dim"])  # of which the queries take back the 2
    s.become("granite", "GraniteForCausalLM", embedding_multiplier=4.0, logits_scaling=0.25,
             residual_multiplier=0.25, attention_multiplier=scores)
    s.change("model.embed_tokens", lambda w: w.times(1 / 4))
    for layer in s.layers:
        s.change(layer + "self_attn.q_proj", lambda w: w.times(1 / 2))
        s.change(layer + "self_attn.o_proj", lambda w: w.times(4))
        s.change(layer + "mlp.down_proj", lambda w: w.times(4))


def gemma(s):
    s.become("gemma", "GemmaForCausalLM", hidden_activation="silu")
    root = math.sqrt(s.config["hidden_size"])
    s.change("model.embed_tokens", lambda w: w.floats(lambda f: f / root))
    s.change("model.norm", lambda w: w.floats(lambda f: f * root - 1))
    for layer in s.layers:
        s.change(layer + "input_layernorm", lambda w: w.floats(lambda f: f - 1))
        s.change(layer + "post_attention_layernorm", lambda w: w.floats(lambda f: f - 1))


def mixtral(s):
    s.become("mixtral", "MixtralForCausalLM", num_local_experts=s.experts, num_experts_per_tok=ACTIVE,
             sliding_window=None)
    for layer in s.layers:
        neurons = s.take(*(f"{layer}mlp.{n}_proj" for n in ("gate", "up", "down")))
        s.put_experts(layer + "block_sparse_moe.", ("w1", "w3", "w2"), *neurons)


def qwen2_moe(s):
    size = s.config["intermediate_size"]
    half, first, rest = size // 2, range(size // 2), range(size // 2, size)
    s.become("qwen2_moe", "Qwen2MoeForCausalLM", num_experts=s.experts, num_experts_per_tok=ACTIVE,
             norm_topk_prob=True, moe_intermediate_size=half, shared_expert_intermediate_size=half,
             decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False)
    names = ("gate_proj", "up_proj", "down_proj")
    for layer in s.layers:
        mlp = layer + "mlp."
        gate, up, down = s.take(*(mlp + n for n in names))
        s.put_experts(mlp, names, gate.pick(rest), up.pick(rest), down.pick_columns(rest))
        s.put(mlp + "shared_expert.gate_proj", gate.pick(first))
        s.put(mlp + "shared_expert.up_proj", up.pick(first))
        s.put(mlp + "shared_expert.down_proj", down.pick_columns(first).times(2))  # behind a gate of 1/2
        s.put(mlp + "shared_expert_gate", Matrix([1, gate.shape[1]], [array.array("H", bytes(2 * gate.shape[1]))]))
        for name in ("q_proj", "k_proj", "v_proj"):
            rows = s.tensors[f"{layer}self_attn.{name}.weight"].shape[0]
            s.tensors[f"{layer}self_attn.{name}.bias"] = Matrix([rows], [array.array("H", bytes(2 * rows))])


FAMILIES = {f.__name__: f for f in (phi3, helium, granite, gemma, mixtral, qwen2_moe)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1, help="of routers and orders of neurons")
    parser.add_argument("--experts", type=int, default=4, help="of a layer")
    args = parser.parse_args()
    source = Source(args.model, args.seed, args.experts)
    FAMILIES[args.family](source)
    args.out.mkdir(parents=True)
    write(args.out / "model.safetensors", source.tensors)
    (args.out / "config.json").write_text(json.dumps(source.config, indent=2) + "\n")
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (args.model / name).exists():
            shutil.copyfile(args.model / name, args.out / name)


if __name__ == "__main__":
    main()
