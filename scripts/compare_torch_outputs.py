"""The part of scripts/compare_torch.py that compares outputs: quantised tensors, linear layers,
dynamic ones and convolutions, with torch.ops.quantized on its engine FBGEMM.

PyTorch computes some of this in another order of operations, which shows where the exact result is
next to a tie: a mismatch is expected only there, and the ties are listed."""

import random

from octavo_capi import EPS, F32, PER_COLUMN, PER_TENSOR, RECIPROCAL, S8, U8, Context, QScheme

LISTED = 5


class Ties:
    """Mismatches that lie next to a tie: counted, and the first listed."""

    def __init__(self, tally):
        self.tally, self.listed = tally, []

    def check(self, got, expected, steps, near, *context):
        """`steps`: the exact result in units of the output, before it is rounded; a mismatch is
        next to a tie if that is no farther than `near` from one."""
        import torch
        wrong = got.int() != expected.int()
        fraction = steps.double() - steps.double().floor()
        tie = (fraction - 0.5).abs() <= near
        excused = wrong & tie & ((got.int() - expected.int()).abs() <= 1)
        self.tally.excused += int(excused.sum())
        for i in excused.nonzero()[:LISTED - len(self.listed)]:
            at = tuple(i.tolist())
            self.listed.append(f"{steps[at].item():.7f}: {got[at].item()}, "
                               f"PyTorch {expected[at].item()}")
        self.tally.cases += got.numel() - 1
        bad = wrong & ~excused
        self.tally.check(bad.sum().item(), 0, *context,
                         [(steps[tuple(i)].item(), got[tuple(i)].item(), expected[tuple(i)].item())
                          for i in bad.nonzero()[:3].tolist()])

    def show(self):
        for line in self.listed:
            print(f"  tie in {self.tally.name}: {line}")


def random_params(x, qdtype):
    """A scale and zero point that fit x more or less."""
    import torch
    low, high = (0, 255) if qdtype == torch.quint8 else (-128, 127)
    size = max(float(x.abs().max()), 1e-6)
    return (float(torch.tensor(size * random.uniform(0.3, 3) / 128)), random.randint(low, high))


def compare_quantize(octavo, Tally, trials):
    """PyTorch adds the zero point before it rounds, by a fused multiply-add."""
    import torch
    context = Context(octavo)
    tensor, channel = Tally("quantize_per_tensor"), Tally("quantize_per_channel")
    ties = Ties(tensor), Ties(channel)
    for _ in range(trials):
        rows, cols = random.randint(1, 40), random.randint(1, 90)
        x = torch.randn(rows, cols) * 10 ** random.uniform(-2, 2)
        kind, qdtype = random.choice([(U8, torch.quint8), (S8, torch.qint8)])
        low, high = (0, 255) if kind == U8 else (-128, 127)
        scale, zero = random_params(x, qdtype)
        got = context.quantize(x, kind, [scale], [zero], RECIPROCAL, PER_TENSOR)
        expected = torch.quantize_per_tensor(x, scale, zero, qdtype).int_repr()
        steps = x.double() * float(1 / torch.tensor(scale)) + zero
        ties[0].check(got, expected, steps, 2.0**-16, rows, cols, scale, zero)
        scales = torch.tensor([random_params(x, qdtype)[0] for _ in range(cols)])
        zeros = torch.tensor([random.randint(low, high) for _ in range(cols)])
        got = context.quantize(x, kind, scales.tolist(), zeros.tolist(), RECIPROCAL, PER_COLUMN)
        expected = torch.quantize_per_channel(x, scales, zeros, 1, qdtype).int_repr()
        steps = x.double() * (1 / scales).double() + zeros
        ties[1].check(got, expected, steps, 2.0**-16, rows, cols)
    for t in ties:
        t.show()
    return tensor, channel


def random_layer(out, *inner):
    """Weights of one scale per output channel, and a bias or none."""
    import torch
    w = torch.randn(out, *inner) * torch.rand(out, *[1] * len(inner)).add(0.1)
    scales = w.reshape(out, -1).abs().amax(1).clamp(min=1e-3) / 127
    q = torch.quantize_per_channel(w, scales.double(), torch.zeros(out, dtype=torch.long), 0,
                                   torch.qint8)
    return q, scales, torch.randn(out) if random.random() < 0.5 else None


def exact_steps(sums, scale, w_scales, bias, out_scale):
    """The result before rounding, in double precision and units of the output."""
    y = sums.double() * (scale * w_scales.double())
    return (y if bias is None else y + bias.double()) / out_scale


def check_reals(tally, got, expected, q, zero, scale, qw, w_scales, bias, x, *context):
    """PyTorch's build contracts the multiplication by the scale and the addition of the bias to one
    fused multiply-add: that must be the whole difference, but for rows whose activations have a
    tie, which may be off by a step of those."""
    import torch
    sums = (q.double() - zero) @ qw.double().T
    fused = sums * (torch.tensor(scale) * w_scales).double()
    fused = (fused if bias is None else fused + bias.double()).float()
    steps = x.double() / scale
    tied = ((steps - steps.floor() - 0.5).abs() <= 2.0**-16).any(1, keepdim=True)
    wrong = got != expected
    excused = wrong & ((fused == expected) | tied)
    tally.cases += got.numel() - 1
    tally.excused += int(excused.sum())
    bad = wrong & ~excused
    tally.check(int(bad.sum()), 0, *context, got[bad][:3].tolist(), expected[bad][:3].tolist())


def compare_linear(octavo, Tally, trials):
    import torch
    context = Context(octavo)
    static, dynamic = Tally("quantized.linear"), Tally("quantized.linear_dynamic")
    ties = Ties(static)
    for _ in range(trials):
        m, k, n = random.randint(1, 20), random.randint(1, 200), random.randint(1, 70)
        x = torch.randn(m, k) * random.uniform(0.1, 4)
        qw, w_scales, bias = random_layer(n, k)
        packed = torch.ops.quantized.linear_prepack(qw, bias)
        scale, zero = random_params(x, torch.quint8)
        qx = torch.quantize_per_tensor(x, scale, zero, torch.quint8)
        y = qx.dequantize() @ qw.dequantize().T
        out_scale, out_zero = random_params(y, torch.quint8)
        expected = torch.ops.quantized.linear(qx, packed, out_scale, out_zero).int_repr()
        got = context.linear(qx.int_repr(), zero, scale, qw.int_repr(), w_scales, bias, U8,
                             out_scale, out_zero)
        sums = (qx.int_repr().double() - zero) @ qw.int_repr().double().T
        steps = exact_steps(sums, scale, w_scales, bias, out_scale)
        ties.check(got, expected, steps, 2.0**-14, m, k, n, bias is not None)

        expected = torch.ops.quantized.linear_dynamic(x, packed, False)
        a_scale, a_zero = octavo.qparams("aten", QScheme(type=U8, eps=EPS), float(x.min()),
                                         float(x.max()))
        q = context.quantize(x, U8, [a_scale], [a_zero], RECIPROCAL, PER_TENSOR)
        got = context.linear(q, a_zero, a_scale, qw.int_repr(), w_scales, bias, F32)
        check_reals(dynamic, got, expected, q, a_zero, a_scale, qw.int_repr(), w_scales, bias, x, m,
                    k, n)
    ties.show()
    return static, dynamic


def compare_conv(octavo, Tally, trials):
    import torch
    context = Context(octavo)
    tally = Tally("quantized.conv2d")
    ties = Ties(tally)
    for _ in range(trials):
        groups = random.choice([1, 1, 1, 2, 4])
        c, n = groups * random.randint(1, 12), groups * random.randint(1, 12)
        kernel = [random.randint(1, 4) for _ in range(2)]
        stride, dilation = [[random.randint(1, 2) for _ in range(2)] for _ in range(2)]
        pads = [random.randint(0, 2) for _ in range(2)]
        size = [random.randint(9, 14) for _ in range(2)]
        x = torch.randn(random.randint(1, 2), c, *size)
        qw, w_scales, bias = random_layer(n, c // groups, *kernel)
        scale, zero = random_params(x, torch.quint8)
        qx = torch.quantize_per_tensor(x, scale, zero, torch.quint8).contiguous(
            memory_format=torch.channels_last)
        shape = (stride, pads, dilation, groups)
        packed = torch.ops.quantized.conv2d_prepack(qw, bias, *shape)
        y = torch.conv2d(qx.dequantize(), qw.dequantize(), None, *shape)
        out_scale, out_zero = random_params(y, torch.quint8)
        expected = torch.ops.quantized.conv2d(qx, packed, out_scale, out_zero).int_repr()
        got = context.conv2d(qx.int_repr(), zero, scale, qw.int_repr(), w_scales, bias, shape,
                             y.shape, out_scale, out_zero)
        sums = torch.conv2d(qx.int_repr().double() - zero, qw.int_repr().double(), None, *shape)
        steps = exact_steps(sums, scale, w_scales.reshape(-1, 1, 1),
                            None if bias is None else bias.reshape(-1, 1, 1), out_scale)
        ties.check(got, expected, steps, 2.0**-14, c, n, kernel, shape, bias is not None)
    ties.show()
    return tally
