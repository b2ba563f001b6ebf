"""What PyTorch and Transformers reach on the same GPU, for docs/benchmarks.md: attention by
scaled_dot_product_attention, and Llama-3-8B in f16 with random weights made on the GPU, eager and compiled
with a static cache. Needs torch and transformers with CUDA; nothing is downloaded.

    python3 tools/bench_pytorch.py [attention] [model] [--json FILE] [--tokens 40] [--layers 32]

Medians of at least five; a decode step includes choosing the token. Prints one JSON object.
"""
import argparse
import json
import statistics
import time

import torch

HEADS, KV_HEADS, HEAD_SIZE = 32, 8, 128


def seconds(call, rounds=9):
    """Median seconds of one call, by CUDA events, after two for warming up."""
    for _ in range(2):
        call()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times)


def graphed(call):
    """The same call as a CUDA graph, so that launching costs nothing."""
    call()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def random_heads(batch, heads, tokens):
    return torch.randn(batch, heads, tokens, HEAD_SIZE, device="cuda", dtype=torch.float16)


def attention():
    """Seconds of SDPA: a causal prompt of 4096 tokens; one token of each of many sequences."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    sdpa = torch.nn.functional.scaled_dot_product_attention
    out = {}
    for name, backend in (("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION),
                          ("efficient", SDPBackend.EFFICIENT_ATTENTION)):
        for case, batch, queries, keys in (("prefill 4096", 1, 4096, 4096), ("decode 32 x 8192", 32, 1, 8192),
                                           ("decode 64 x 512", 64, 1, 512)):
            q, k, v = random_heads(batch, HEADS, queries), random_heads(batch, KV_HEADS, keys), \
                random_heads(batch, KV_HEADS, keys)
            try:
                with sdpa_kernel(backend):
                    one = graphed(lambda: sdpa(q, k, v, is_causal=queries > 1, enable_gqa=True))
                    out[f"{case}, {name}"] = seconds(one)
            except RuntimeError as error:
                out[f"{case}, {name}"] = str(error).splitlines()[0][:80]
            del q, k, v
    return out


def decode(model, batch, context, tokens, compiled):
    """Median seconds of a decode step of `batch` sequences behind `context` tokens."""
    from transformers import StaticCache
    cache = StaticCache(config=model.config, max_cache_len=context + tokens + 16)
    forward = torch.compile(model.forward, mode="reduce-overhead", fullgraph=True) if compiled else model.forward
    with torch.no_grad():
        prompt = torch.randint(0, 1000, (batch, context), device="cuda")
        model(prompt, past_key_values=cache, cache_position=torch.arange(context, device="cuda"), logits_to_keep=1)
        token = torch.randint(0, 1000, (batch, 1), device="cuda")
        position = torch.tensor([context], device="cuda")
        times = []
        for _ in range(tokens):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            logits = forward(token, past_key_values=cache, cache_position=position, logits_to_keep=1).logits
            token = logits[:, -1].argmax(-1, keepdim=True).clone()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
            position = position + 1
    return statistics.median(times[len(times) // 4:])


def model(args):
    """Tokens a second of Transformers' Llama with Llama-3-8B's shapes, f16."""
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_attention_heads=HEADS,
                         num_hidden_layers=args.layers, num_key_value_heads=KV_HEADS,
                         max_position_embeddings=8192, rope_theta=500000.0)
    torch.set_default_dtype(torch.float16)
    with torch.device("cuda"):
        llama = LlamaForCausalLM(config).eval()
    out = {}
    with torch.no_grad():
        prompt = torch.randint(0, 1000, (1, 4096), device="cuda")
        out["prefill 4096, eager"] = 4096 / seconds(lambda: llama(prompt, use_cache=True, logits_to_keep=1), 5)
    for batch in (1, 8, 32, 64):
        out[f"decode {batch}, eager"] = batch / decode(llama, batch, 512, args.tokens, False)
    for batch in (1, 8):
        out[f"decode {batch}, compiled, static cache"] = batch / decode(llama, batch, 512, args.tokens, True)
        torch.compiler.reset()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["attention", "model"], default=[])
    parser.add_argument("--json")
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--layers", type=int, default=32)
    args = parser.parse_args()
    out = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    if not args.parts or "attention" in args.parts:
        out["attention_seconds"] = attention()
    if not args.parts or "model" in args.parts:
        out["tokens_per_second"] = model(args)
    text = json.dumps(out, indent=1)
    print(text)
    if args.json:
        with open(args.json, "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
