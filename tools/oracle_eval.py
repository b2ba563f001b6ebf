"""What the check tools share: reading a checkpoint's tensors, running Transformers on them in f32, perplexity.

Windows and figures are those of `awq eval`: BOS windows hold window - 1 text tokens behind BOS, all of them scored, the
last window may be short; plain windows hold `window` text tokens, the first is not scored, a short last one is dropped.
"""

import argparse
import json
import pathlib
import time

import oracle_env  # noqa: F401 (first)
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

transformers.logging.set_verbosity_error()


def read_tensors(folder):
    """All tensors of a checkpoint folder, by name."""
    folder = pathlib.Path(folder)
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map = json.loads(index.read_text())["weight_map"]
        files = sorted(set(weight_map.values()))
    else:
        files = ["model.safetensors"]
    tensors = {}
    for file in files:
        tensors.update(load_file(folder / file))
    if index.exists():
        assert tensors.keys() == weight_map.keys(), (
            "model.safetensors.index.json names other tensors than the shards hold"
        )
    return tensors


def plain_config(folder):
    config = AutoConfig.from_pretrained(folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def build(folder, tensors):
    """The folder's model in f32 with these tensors as its weights; every one of them must have its place."""
    # Others than eager attention leave out the soft caps of scores; Falcon's adds ALiBi twice.
    config = plain_config(folder)
    attention = "sdpa" if config.model_type == "falcon" and config.alibi else "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention)
    missing, unexpected = model.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=False)
    tied = set(model._tied_weights_keys or ()) if model.config.tie_word_embeddings else set()
    assert not unexpected and set(missing) <= tied, f"missing {missing}, unexpected {unexpected}"
    model.tie_weights()
    return model.eval()


def windows(ids, bos, window):
    """Lists of input ids; all but the first of a window are scored."""
    if bos is not None:
        for i in range(0, len(ids), window - 1):
            yield [bos] + ids[i : i + window - 1]
    else:
        for i in range(0, len(ids) - window + 1, window):
            yield ids[i : i + window]


@torch.no_grad()
def evaluate(model, windows, reference=None):
    """The JSON object of `awq eval`."""
    start, nll, tokens, klds, same = time.time(), 0.0, 0, [], 0
    for window in windows:
        inputs = torch.tensor([window])
        log_p = torch.log_softmax(model(inputs, use_cache=False).logits[0, :-1], -1)
        nll -= log_p.gather(1, inputs[0, 1:, None]).double().sum().item()
        tokens += len(window) - 1
        if reference is not None:
            log_r = torch.log_softmax(reference(inputs, use_cache=False).logits[0, :-1], -1)
            klds.append((log_r.exp() * (log_r - log_p)).sum(-1).double().numpy())
            same += (log_r.argmax(-1) == log_p.argmax(-1)).sum().item()
    result = {"perplexity": float(np.exp(nll / tokens)), "tokens": tokens, "seconds": round(time.time() - start, 1)}
    if reference is not None:
        kld = np.concatenate(klds)
        result.update(
            kld_mean=float(kld.mean()),
            kld_median=float(np.median(kld)),
            kld_p99=float(np.quantile(kld, 0.99)),
            kld_p999=float(np.quantile(kld, 0.999)),
            top1=same / tokens,
        )
    return result


def parser(description):
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("--text", help="measure perplexity on this file")
    p.add_argument("--window", type=int, default=1024)
    p.add_argument("--no-bos", action="store_true")
    p.add_argument("--max-windows", type=int)
    p.add_argument(
        "--against", type=pathlib.Path, help="checkpoint in 16 or 32 bits: adds KL divergence and top-1 agreement"
    )
    p.add_argument("--write", type=pathlib.Path, help="writes the dequantized weights here as an f32 checkpoint")
    p.add_argument("--ids", help="comma-separated token ids: prints the ten best next tokens with their logits")
    return p


def run(args, tensors):
    """What the arguments of parser() ask for, on the dequantized tensors."""
    model = build(args.model, tensors)
    if args.write:
        args.write.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.float().contiguous() for k, v in tensors.items()}, args.write / "model.safetensors", {"format": "pt"}
        )
        config = plain_config(args.model)
        config.dtype = torch.float32
        config.save_pretrained(args.write)
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
            if (args.model / name).exists():
                (args.write / name).write_bytes((args.model / name).read_bytes())
    if args.ids:
        with torch.no_grad():
            logits = model(torch.tensor([[int(i) for i in args.ids.split(",")]]), use_cache=False).logits[0, -1]
        best = logits.topk(10)
        print(json.dumps({"ids": best.indices.tolist(), "logits": [round(x, 5) for x in best.values.tolist()]}))
    if args.text:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        ids = tokenizer.encode(open(args.text, encoding="utf-8").read(), add_special_tokens=False)
        bos = None if args.no_bos else tokenizer.bos_token_id
        reference = build(args.against, read_tensors(args.against)) if args.against else None
        chosen = list(windows(ids, bos, args.window))[: args.max_windows]
        print(json.dumps(evaluate(model, chosen, reference)))
