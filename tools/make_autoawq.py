#!/usr/bin/env python3
"""Quantizes a checkpoint with the real AutoAWQ 0.2.9 on a CPU, as a reference to load and to compare with.

    .venv-oracle/bin/python tools/make_autoawq.py MODEL OUT --calib FILE.jsonl [--max-calib-samples 128] …

The calibration file is JSONL: records with "tokens" (lists of ids, cut into blocks as AutoAWQ does) or "text".
Beside the checkpoint it writes autoawq_choices.safetensors: per layer the chosen scales ("scale.<producer>"), all
20 losses of each search ("loss.<producer>") and the clipping thresholds ("clip.<linear>"), of which our parity mode
must choose the same.
"""

import argparse
import json
import pathlib
import time
import warnings

warnings.showwarning = lambda *args, **kwargs: None  # AutoAWQ announces its deprecation on import

import torch
from awq import AutoAWQForCausalLM
from awq.quantize.quantizer import AwqQuantizer
from safetensors.torch import save_file
from transformers import AutoTokenizer


class CpuQuantizer(AwqQuantizer):
    """AutoAWQ's own quantizer with one fault mended that only shows on a CPU, which records what it chooses.

    The fault: the snapshot of the weights before the search is `v.cpu()`, which on a CPU is the live tensor, so the
    first grid point's scaling stays in the weights for good.
    """

    choices: dict = {}

    def _compute_best_scale(self, x, w_mean, x_mean, module2inspect, *args, **kwargs):
        live = module2inspect.state_dict
        module2inspect.state_dict = lambda: {k: v.clone() for k, v in live().items()}
        self.losses = []
        try:
            return super()._compute_best_scale(x, w_mean, x_mean, module2inspect, *args, **kwargs)
        finally:
            del module2inspect.state_dict

    def _compute_loss(self, *args):
        self.losses.append(super()._compute_loss(*args))
        return self.losses[-1]

    def _search_best_scale(self, module, *args, **kwargs):
        producer, linears, scales = super()._search_best_scale(module, *args, **kwargs)
        key = f"{self._layer_of(module)}.{producer}"
        self.choices[f"scale.{key}"] = scales.float().contiguous()
        self.choices[f"loss.{key}"] = torch.tensor(self.losses, dtype=torch.float64)
        return producer, linears, scales

    def _search_best_clip(self, layer, *args):
        clips = super()._search_best_clip(layer, *args)
        for name, threshold in clips:
            self.choices[f"clip.{self._layer_of(layer)}.{name}"] = threshold.float().squeeze(-1).contiguous()
        return clips

    def _layer_of(self, module):
        return next(i for i, m in enumerate(self.modules) if m is module)


def read_calibration(path):
    records = [json.loads(line) for line in open(path, encoding="utf-8")]
    return [r["tokens"] if "tokens" in r else r["text"] for r in records]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--calib", required=True, help='JSONL with "tokens" or "text"')
    parser.add_argument("--max-calib-samples", type=int, default=128)
    parser.add_argument("--max-calib-seq-len", type=int, default=512)
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--dtype", default="auto", choices=["auto", "float16", "bfloat16", "float32"])
    parser.add_argument("--no-clip", action="store_true")
    parser.add_argument("--no-duo-scaling", action="store_true")
    args = parser.parse_args()

    dtype = "auto" if args.dtype == "auto" else getattr(torch, args.dtype)
    model = AutoAWQForCausalLM.from_pretrained(str(args.model), torch_dtype=dtype, device_map="cpu")
    # A checkpoint without one can still be calibrated with token ids.
    tokenizer = AutoTokenizer.from_pretrained(args.model) if (args.model / "tokenizer.json").exists() else None
    start, cpu = time.time(), time.process_time()
    model.quantize(
        tokenizer,
        quant_config={"zero_point": True, "q_group_size": args.group_size, "w_bit": 4, "version": "GEMM"},
        calib_data=read_calibration(args.calib),
        max_calib_samples=args.max_calib_samples,
        max_calib_seq_len=args.max_calib_seq_len,
        n_parallel_calib_samples=16,
        apply_clip=not args.no_clip,
        duo_scaling=not args.no_duo_scaling,
        quantizer_cls=CpuQuantizer,
    )
    seconds, cpu = time.time() - start, time.process_time() - cpu
    model.save_quantized(str(args.out))
    if tokenizer is not None:
        tokenizer.save_pretrained(args.out)
    save_file(CpuQuantizer.choices, args.out / "autoawq_choices.safetensors")
    print(json.dumps({"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "out": str(args.out),
                      "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
