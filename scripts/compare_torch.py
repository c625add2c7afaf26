#!/usr/bin/env python3
"""Compares Octavo's observers, quantisation parameters, weights and outputs with PyTorch's, bit for
bit.

Random tensors and ranges go to torch.ao.quantization and torch.ops.quantized and, through the C API of a built shared
library, to Octavo. Prints the number of cases and of mismatches for each comparison, and the first
mismatches in full; exits with 1 if there is one. Needs PyTorch: --install creates a virtual
environment of its own for it, with the package index that pip is configured to use.
"""

import argparse
import ctypes
import math
import os
import pathlib
import random
import subprocess
import sys
import warnings

from compare_torch_outputs import compare_conv, compare_linear, compare_quantize
from octavo_capi import (EPS, HISTOGRAM, MIN_MAX, MOVING_AVERAGE, RECIPROCAL, REDUCED, S8,
                         SYMMETRIC, U8, EqualizeDesc, Observer, Octavo, QScheme, WeightsDesc, f32, f64, i32,
                         i64, pointer)

ROOT = pathlib.Path(__file__).resolve().parent.parent
TORCH = "2.13.0"  # what the observers' code was last compared with
SHOWN = 3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", type=pathlib.Path, default=ROOT / "build/liboctavo.so",
                        help="the shared library (default: %(default)s)")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "build/venv",
                        help="the virtual environment with PyTorch (default: %(default)s)")
    parser.add_argument("--install", action="store_true",
                        help="create the virtual environment and install PyTorch in it")
    parser.add_argument("--trials", type=int, default=200,
                        help="random cases per comparison and configuration (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def enter_venv(venv, install):
    """Goes on in the virtual environment's interpreter, unless this is it."""
    if pathlib.Path(sys.prefix).resolve() == venv.resolve():
        return
    python = venv / "bin/python"
    if install:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"torch=={TORCH}", "numpy"],
                       check=True)
    elif not python.exists():
        sys.exit(f"compare_torch.py: no virtual environment in {venv}; --install creates it")
    os.execv(python, [str(python), *sys.argv])


class Tally:
    """Cases and mismatches of one comparison, and how many differences were expected."""

    def __init__(self, name):
        self.name, self.cases, self.wrong, self.excused = name, 0, 0, 0

    def check_close(self, got, expected, *context):
        """To 4 units in the last place: the vector mathematics library that PyTorch takes square
        roots from does not round correctly."""
        import torch
        got, expected = torch.cat([*map(torch.flatten, got)]), torch.cat([*map(torch.flatten,
                                                                                expected)])
        near = torch.allclose(got, expected, rtol=4 * EPS, atol=0)
        self.excused += near and not torch.equal(got, expected)
        self.check("near" if near else got.tolist(), "near" if near else expected.tolist(),
                   *context)

    def check(self, got, expected, *context):
        self.cases += 1
        if got != expected:
            self.wrong += 1
            if self.wrong <= SHOWN:
                print(f"{self.name}: got {got}, PyTorch has {expected}, for {context}")


class Config:
    """A scheme in both worlds."""

    def __init__(self, kind, symmetric, reduced=False, own_range=None, eps=EPS):
        import torch
        self.symmetric = symmetric
        self.qdtype = {U8: torch.quint8, S8: torch.qint8}[kind]
        self.type = kind
        low, high = own_range or (0, 0)
        self.scheme = QScheme(type=kind, flags=SYMMETRIC * symmetric + REDUCED * reduced,
                              quant_min=low, quant_max=high, eps=eps)
        self.options = {"dtype": self.qdtype, "reduce_range": reduced, "eps": eps}
        if own_range:
            self.options |= {"quant_min": low, "quant_max": high}

    def __str__(self):
        s = self.scheme
        return f"type {s.type} flags {s.flags} range [{s.quant_min}, {s.quant_max}] eps {s.eps:g}"

    def per_tensor(self):
        import torch
        scheme = torch.per_tensor_symmetric if self.symmetric else torch.per_tensor_affine
        return self.options | {"qscheme": scheme}

    def per_channel(self):
        import torch
        scheme = torch.per_channel_symmetric if self.symmetric else torch.per_channel_affine
        return self.options | {"qscheme": scheme}


def configs():
    return [Config(U8, False), Config(S8, False), Config(U8, True), Config(S8, True),
            Config(U8, False, reduced=True), Config(S8, False, reduced=True),
            Config(S8, True, reduced=True), Config(S8, True, own_range=(-127, 127)),
            Config(S8, True, own_range=(-127, 127), reduced=True),
            Config(U8, False, own_range=(0, 127)), Config(U8, True, own_range=(0, 255)),
            Config(U8, True, own_range=(0, 127)), Config(U8, False, eps=2.0**-12),
            Config(S8, True, own_range=(-127, 127), eps=2.0**-12)]


def random_ranges(count):
    """Pairs min <= max of every magnitude and sign, corner cases first."""
    import torch
    corners = [(5, 5), (0, 0), (-3, -1), (2, 6), (-1.5, 1.5), (-0.5, 4.5), (-1e-6, 1e-6),
               (0, 1e-38), (-1e-40, 1e-45), (0, 1e-5), (-1e-5, 0), (-0.0, 0.0), (-1e30, 1e30)]
    a = torch.randn(count) * 10 ** (torch.rand(count) * 12 - 8)
    b = torch.where(torch.rand(count) < 0.5, -a * torch.rand(count), torch.randn(count))
    lows, highs = torch.minimum(a, b), torch.maximum(a, b)
    c = torch.tensor(corners)
    return torch.cat([c[:, 0], lows]), torch.cat([c[:, 1], highs])


def random_tensor(shape=None):
    """Of a random distribution and, half the time, not dense."""
    import torch
    shape = shape or [random.randint(1, 40) for _ in range(random.randint(1, 4))]
    form = random.randint(0, 3)
    wide = [2 * shape[0], *shape[1:]] if form & 1 else shape
    x = torch.randn(wide) * 10 ** random.uniform(-3, 3) + random.choice([0, 0, 1, -20])
    match random.randint(0, 4):
        case 0: x = x.relu()
        case 1: x = x * (torch.rand(wide) < 0.02) * 50 + x / 50
        case 2: x = x.round()
    x = x[::2] if form & 1 else x
    return x.transpose(0, -1).contiguous().transpose(0, -1) if form & 2 else x


def compare_qparams(octavo, trials):
    from torch.ao.quantization.observer import PerChannelMinMaxObserver
    tally = Tally("qparams: observers' formula")
    lows, highs = random_ranges(20 * trials)
    for config in configs():
        module = PerChannelMinMaxObserver(**config.per_channel())
        scales, zero_points = module._calculate_qparams(lows, highs)
        for low, high, scale, zero_point in zip(lows.tolist(), highs.tolist(), scales.tolist(),
                                                zero_points.tolist()):
            tally.check(octavo.qparams("observer", config.scheme, low, high), (scale, zero_point),
                        low, high, str(config))
    return tally


def compare_aten(octavo, trials):
    """By the operator of dynamic quantisation, whose scale is a double."""
    import torch
    tally = Tally("qparams: ATen's formula")
    lows, highs = random_ranges(20 * trials)
    for low, high in zip(lows.tolist(), highs.tolist()):
        for reduced in (False, True):
            scheme = QScheme(type=U8, flags=REDUCED * reduced, eps=EPS)
            scale, zero_point = torch._choose_qparams_per_tensor(torch.tensor([low, high]), reduced)
            tally.check(octavo.qparams("aten", scheme, low, high),
                        (float(torch.tensor(scale, dtype=torch.float32)), zero_point),
                        low, high, reduced)
    return tally


def compare_fbgemm(octavo, trials):
    """By the operator that quantises the weights of dynamic layers, and by the fused observer,
    whose averaging constant 1 makes the range that of the tensor."""
    import torch
    tally = Tally("qparams: FBGEMM's formula")
    lows, highs = random_ranges(5 * trials)
    for low, high in zip(lows.tolist(), highs.tolist()):
        x = torch.tensor([low, high])
        _, _, scale, zero_point = torch.fbgemm_linear_quantize_weight(x[None])
        tally.check(octavo.qparams("fbgemm", QScheme(type=S8, eps=EPS), low, high),
                    (scale, zero_point), low, high)
        for kind, bounds in ((U8, (0, 255)), (S8, (-128, 127)), (U8, (0, 127)), (S8, (-127, 127))):
            for symmetric in (False, True):
                on, scale = torch.tensor([1]), torch.ones(1)
                zero_point = torch.zeros(1, dtype=torch.int32)
                torch.fused_moving_avg_obs_fake_quant(
                    x, on, on, torch.tensor(float("inf")), torch.tensor(float("-inf")), scale,
                    zero_point, 1.0, *bounds, 0, False, symmetric)
                scheme = QScheme(type=kind, flags=SYMMETRIC * symmetric, quant_min=bounds[0],
                                 quant_max=bounds[1], eps=EPS)
                tally.check(octavo.qparams("fbgemm", scheme, low, high),
                            (scale.item(), zero_point.item()), low, high, kind, bounds, symmetric)
    return tally


def compare_extrema(octavo, trials):
    """The four observers by extrema, over several batches, per tensor and on every axis. PyTorch's
    per channel need two dimensions."""
    import torch
    from torch.ao.quantization import observer as ao
    tally = Tally("observers: min-max and moving average")
    for config in configs():
        for _ in range(max(trials // 20, 1)):
            shape = [random.randint(1, 12) for _ in range(random.randint(2, 4))]
            axis = random.randrange(len(shape))
            per_channel = {"scheme": config.scheme, "channels": shape[axis], "channel_axis": axis}
            pairs = [
                (ao.MinMaxObserver(**config.per_tensor()),
                 Observer(octavo, kind=MIN_MAX, scheme=config.scheme)),
                (ao.MovingAverageMinMaxObserver(**config.per_tensor()),
                 Observer(octavo, kind=MOVING_AVERAGE, scheme=config.scheme)),
                (ao.PerChannelMinMaxObserver(ch_axis=axis, **config.per_channel()),
                 Observer(octavo, kind=MIN_MAX, **per_channel)),
                (ao.MovingAveragePerChannelMinMaxObserver(ch_axis=axis, **config.per_channel()),
                 Observer(octavo, kind=MOVING_AVERAGE, **per_channel))]
            for _ in range(random.randint(1, 5)):
                x = random_tensor(shape)
                for theirs, ours in pairs:
                    theirs(x)
                    ours.observe(x)
            for theirs, ours in pairs:
                scale, zero_point = theirs.calculate_qparams()
                tally.check(ours.qparams(), (scale.tolist(), zero_point.tolist()),
                            type(theirs).__name__, str(config), shape, axis)
                ranges = tuple(torch.atleast_1d(v).tolist() for v in (theirs.min_val,
                                                                      theirs.max_val))
                tally.check(ours.ranges(), ranges, type(theirs).__name__, "ranges")
    return tally


def compare_histograms(octavo, trials):
    from torch.ao.quantization.observer import HistogramObserver
    counts, params = Tally("observers: histogram's counts"), Tally("observers: histogram's qparams")
    for trial in range(trials):
        config = random.choice(configs())
        bins = random.choice([2048, 2048, 256, 33])
        theirs = HistogramObserver(bins=bins, **config.per_tensor())
        ours = Observer(octavo, kind=HISTOGRAM, scheme=config.scheme, bins=bins)
        for _ in range(random.randint(1, 5)):
            x = random_tensor()
            theirs(x)
            ours.observe(x)
        counts.check(ours.histogram(), (theirs.histogram.tolist(), theirs.min_val.item(),
                                        theirs.max_val.item()), trial)
        scale, zero_point = theirs.calculate_qparams()
        params.check(ours.qparams(), (scale.tolist(), zero_point.tolist()), trial, str(config),
                     bins)
    return counts, params


def compare_weights(octavo, trials):
    """Weights by the reciprocal form. PyTorch limits values to the type only, and adds the zero
    point, in binary32, before it rounds (per tensor by a fused multiply-add), which shows at ties
    and, since the sum has fewer places after the point, within 2^-16 of them."""
    import torch
    from torch.ao.quantization import observer as ao
    tensor, channel = Tally("weights: per tensor"), Tally("weights: per channel")

    def quantise(config, x, outer, channels, inner):
        desc = WeightsDesc(scheme=config.scheme, form=RECIPROCAL, weights=x.data_ptr(),
                           outer=outer, channels=channels, inner=inner)
        q = torch.empty(x.shape, dtype=torch.uint8 if config.type == U8 else torch.int8)
        scales, zeros = (f32 * channels)(), (i32 * channels)()
        octavo.call("oct_quantize_weights", ctypes.byref(desc), pointer(q.data_ptr()), scales,
                    zeros)
        return q, list(scales), list(zeros)

    for config in configs():
        for _ in range(max(trials // 20, 1)):
            shape = [random.randint(1, 12) for _ in range(random.randint(2, 4))]
            axis = random.randrange(len(shape))
            x = random_tensor(shape).contiguous()
            for tally, module in (
                    (tensor, ao.MinMaxObserver(**config.per_tensor())),
                    (channel, ao.PerChannelMinMaxObserver(ch_axis=axis, **config.per_channel()))):
                module(x)
                scale, zero_point = module.calculate_qparams()
                if tally is tensor:
                    expected = torch.quantize_per_tensor(x, scale.item(), zero_point.item(),
                                                         config.qdtype)
                    got, *params = quantise(config, x, 1, 1, x.numel())
                else:
                    expected = torch.quantize_per_channel(x, scale, zero_point, axis,
                                                          config.qdtype)
                    got, *params = quantise(config, x, math.prod(shape[:axis]), shape[axis],
                                            math.prod(shape[axis + 1:]))
                expected = expected.int_repr().clamp(module.quant_min, module.quant_max)
                along = [-1 if d == axis and tally is channel else 1 for d in range(len(shape))]
                steps = x * (1 / scale).reshape(along)
                ties = (steps - steps.floor() - 0.5).abs() <= 2.0**-16
                tally.excused += bool((got != expected)[ties].any())
                expected = torch.where(ties, got, expected)
                tally.check((got.tolist(), *params),
                            (expected.tolist(), scale.tolist(), zero_point.tolist()), str(config),
                            shape, axis)
    return tensor, channel


def compare_equalization(octavo, trials):
    """One step of cross-layer equalisation, and SmoothQuant's factors."""
    import torch
    from torch.ao.quantization import _equalize
    cross, smooth = Tally("cross-layer equalisation"), Tally("SmoothQuant factors")
    for _ in range(trials):
        inputs, channels, outputs = (random.randint(2, 20) for _ in range(3))
        one, two = torch.nn.Linear(inputs, channels), torch.nn.Linear(channels, outputs)
        w1, b1, w2 = (v.detach().clone() for v in (one.weight, one.bias, two.weight))
        _equalize.cross_layer_equalization(one, two)
        desc = EqualizeDesc(channels=channels, weights1=w1.data_ptr(), outer1=1, inner1=inputs,
                            bias1=b1.data_ptr(), weights2=w2.data_ptr(), outer2=outputs, inner2=1,
                            threshold=1e-4, max_iterations=1)
        octavo.call("oct_cross_layer_equalize", ctypes.byref(desc), pointer(w1.data_ptr()),
                    pointer(b1.data_ptr()), pointer(w2.data_ptr()), None, None)
        cross.check_close((w1, b1, w2), [v.detach() for v in (one.weight, one.bias, two.weight)],
                          inputs, channels, outputs)

        x, w, alpha = torch.randn(channels).abs() * 30, torch.rand(channels), random.random()
        expected = torch.pow(x + EPS, alpha) / torch.pow(w + EPS, 1 - alpha)
        factors = torch.empty(channels)
        octavo.call("oct_smoothquant_factors", i64(channels), pointer(x.data_ptr()),
                    pointer(w.data_ptr()), f64(alpha), pointer(factors.data_ptr()))
        smooth.check_close([factors], [expected], channels, alpha)
    return cross, smooth


def main():
    args = arguments()
    enter_venv(args.venv, args.install)
    import torch
    warnings.filterwarnings("ignore")
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    octavo = Octavo(args.library)
    print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
          f"seed {args.seed}")
    tallies = []
    for compare in (compare_qparams, compare_aten, compare_fbgemm, compare_extrema,
                    compare_histograms, compare_weights, compare_equalization):
        result = compare(octavo, args.trials)
        tallies += result if isinstance(result, tuple) else (result,)
    torch.backends.quantized.engine = "fbgemm"
    for compare in (compare_quantize, compare_linear, compare_conv):
        result = compare(octavo, Tally, args.trials)
        tallies += result if isinstance(result, tuple) else (result,)
    for tally in tallies:
        excused = f", {tally.excused} equal but for ties, last places or contraction" if tally.excused else ""
        print(f"{tally.name:40} {tally.cases:8} cases {tally.wrong:6} mismatches{excused}")
    return 1 if any(tally.wrong for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
