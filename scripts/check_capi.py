#!/usr/bin/env python3
"""Checks that scripts/octavo_capi.py declares the structures of the C API with their present sizes.

usage: check_capi.py LIBRARY

Every structure is handed to a call that looks at its size first. Without a library: does nothing.
"""

import ctypes
import sys

from octavo_capi import (AXES, EPS, F32, MIN_MAX, S8, U8, Dynamic, EqualizeDesc, Matrix,
                         ObserverDesc, Octavo, QconvArgs, QconvDesc, QgemmArgs, QgemmDesc, QScheme,
                         QuantizeArgs, View, WeightsDesc, f32, pointer)

ONE = f32(1)
LAYER = {"a_type": U8, "a_scale": 1, "weight_type": S8, "c_type": F32,
         "scales": ctypes.addressof(ONE), "scale_count": 1}


def calls(octavo):
    """Pairs of a function's name and its arguments."""
    ref, null = ctypes.byref, pointer()
    context, gemm, conv, observer = (pointer() for _ in range(4))
    weight = ctypes.c_int8(1)
    at = ctypes.addressof(weight)
    yield "oct_context_create", (None, ref(context))
    yield "oct_qgemm_create", (context, ref(QgemmDesc(n=1, k=1, b=at, **LAYER)), ref(gemm))
    yield "oct_qgemm_run", (gemm, ref(QgemmArgs()))
    dynamic = Dynamic(scheme=QScheme())
    yield "oct_qgemm_create", (context, ref(QgemmDesc(
        n=1, k=1, b=at, dynamic=ctypes.addressof(dynamic), **{**LAYER, "a_type": F32})), ref(null))
    ones = AXES(1, 1, 1)
    yield "oct_qconv_create", (context, ref(QconvDesc(
        rank=1, in_channels=1, out_channels=1, groups=1, kernel=ones, stride=ones, dilation=ones,
        w=at, add_scale=1, **LAYER)), ref(conv))
    yield "oct_qconv_run", (conv, ref(QconvArgs()))
    yield "oct_observer_create", (ref(ObserverDesc(
        kind=MIN_MAX, scheme=QScheme(type=U8, eps=EPS), averaging=0.01, bins=2048)), ref(observer))
    yield "oct_observer_observe", (observer, ref(View()))
    yield "oct_quantize", (context, ref(QuantizeArgs(x=Matrix(), q=Matrix())))
    some = pointer(at)
    yield "oct_quantize_weights", (ref(WeightsDesc(scheme=QScheme())), some, some, some)
    yield "oct_cross_layer_equalize", (ref(EqualizeDesc()), some, some, some, null, null)


def refusal(octavo, name, args):
    """The message of a call that fails, or None."""
    if getattr(octavo.lib, name)(*args):
        return octavo.lib.oct_last_error().decode()
    return None


def main():
    if len(sys.argv) < 2:
        return
    octavo = Octavo(sys.argv[1])
    for name, args in calls(octavo):
        if (message := refusal(octavo, name, args)) and "struct_size" in message:
            sys.exit(f"{name}: {message}")
        for given in (getattr(a, "_obj", None) for a in args):
            if hasattr(given, "struct_size"):
                given.struct_size += 1
                if "struct_size" not in (refusal(octavo, name, args) or ""):
                    sys.exit(f"{name} is not asked in a way that shows its structure's size")


if __name__ == "__main__":
    main()
