#!/usr/bin/env python3
"""Times dynamic quantised linear layers beside PyTorch's linear_dynamic (engine FBGEMM), in one process,
one thread, block by block in turn. Both take f32 activations, quantise them per tensor by ATen's
formula, and give f32. Prints the median times and PyTorch's over ours; needs the environment that
scripts/compare_torch.py --install creates."""

import argparse
import pathlib
import statistics
import time
import warnings

from compare_torch import ROOT, enter_venv
from octavo_capi import Context, Octavo

N, K = 3072, 768
BLOCK_SECONDS, ROUNDS = 2e-3, 41


def seconds_per_call(body, calls):
    start = time.perf_counter()
    for _ in range(calls):
        body()
    return (time.perf_counter() - start) / calls


def alternate(*bodies):
    calls = [max(1, round(BLOCK_SECONDS / min(seconds_per_call(b, 1) for _ in range(3))))
             for b in bodies]
    rounds = [[seconds_per_call(b, c) for b, c in zip(bodies, calls)] for _ in range(ROUNDS)]
    return [statistics.median(times) for times in zip(*rounds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", type=pathlib.Path, default=ROOT / "build/liboctavo.so")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "build/venv")
    args = parser.parse_args()
    enter_venv(args.venv, False)
    import torch
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*deprecated.*")
    torch.backends.quantized.engine = "fbgemm"
    context = Context(Octavo(args.library))
    w = torch.randn(N, K) / K**0.5
    scale = float(w.abs().max()) / 127
    qw = torch.quantize_per_tensor(w, scale, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(qw, None)
    weights, scales = qw.int_repr(), torch.tensor([scale])
    print("  M    ours us  PyTorch us  ratio")
    for m in (1, 16, 128):
        x = torch.randn(m, K)
        plan = context.dynamic_linear(weights, scales, m)
        c = torch.empty(m, N)
        run = plan.bind(x, c)
        run()
        theirs = torch.ops.quantized.linear_dynamic(x, packed, False)
        # Next to a tie an activation may be off by a step.
        step = float(x.max() - x.min()) / 255 * float(w.abs().max())
        if float((c - theirs).abs().max()) > 1.01 * step:
            raise SystemExit(f"M = {m}: results differ by {float((c - theirs).abs().max())}")
        ours, other = alternate(run, lambda: torch.ops.quantized.linear_dynamic(x, packed, False))
        print(f"{m:4} {ours * 1e6:9.1f} {other * 1e6:11.1f} {other / ours:6.2f}")


if __name__ == "__main__":
    main()
