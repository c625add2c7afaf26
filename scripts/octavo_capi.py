"""The part of Octavo's C API that scripts/compare_torch.py calls, through ctypes."""

import ctypes

U8, S8, S32, F32 = 1, 2, 3, 4
SYMMETRIC, NARROW, REDUCED = 1, 2, 4
MIN_MAX, MOVING_AVERAGE, HISTOGRAM = 1, 2, 3
DIVIDE, RECIPROCAL = 1, 2
ATEN = 3
PER_TENSOR, PER_ROW, PER_COLUMN = 0, 1, 2
MAX_RANK = 8
EPS = 2.0**-23

f32, i32, u32, i64, f64 = (ctypes.c_float, ctypes.c_int32, ctypes.c_uint32, ctypes.c_int64,
                           ctypes.c_double)
pointer = ctypes.c_void_p


class Structure(ctypes.Structure):
    """One whose first field is struct_size."""

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class QScheme(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("type", ctypes.c_int), ("flags", u32),
                ("quant_min", i32), ("quant_max", i32), ("eps", f32)]


class ObserverDesc(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("kind", ctypes.c_int), ("scheme", QScheme),
                ("channels", i64), ("channel_axis", i32), ("averaging", f32), ("bins", i32),
                ("percentile", f64), ("scale", f32), ("zero_point", i32)]


class View(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("data", pointer), ("rank", i32),
                ("sizes", i64 * MAX_RANK), ("strides", i64 * MAX_RANK)]


class WeightsDesc(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("scheme", QScheme), ("form", ctypes.c_int),
                ("weights", pointer), ("outer", i64), ("channels", i64), ("inner", i64)]


class EqualizeDesc(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("channels", i64), ("weights1", pointer),
                ("outer1", i64), ("inner1", i64), ("bias1", pointer), ("weights2", pointer),
                ("outer2", i64), ("inner2", i64), ("threshold", f64), ("max_iterations", i32)]


class Matrix(ctypes.Structure):
    _fields_ = [("data", pointer), ("type", ctypes.c_int), ("stride_bytes", i64)]


class QuantizeArgs(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("rows", i64), ("cols", i64), ("x", Matrix),
                ("q", Matrix), ("granularity", ctypes.c_int), ("form", ctypes.c_int),
                ("scales", pointer), ("zero_points", pointer), ("q_min", i32), ("q_max", i32)]


WEIGHT_FIELDS = [("scales", pointer), ("scale_count", i64), ("weight_type", ctypes.c_int),
                 ("zero_points", pointer), ("zero_point_count", i64)]
BIAS_FIELDS = [("bias_type", ctypes.c_int), ("bias", pointer)]
OUTPUT_FIELDS = [("c_type", ctypes.c_int), ("c_scale", f32), ("c_zero_point", i32),
                 ("clamp_min", f32), ("clamp_max", f32), ("post", pointer), ("post_count", i64)]
INPUT_FIELDS = [("a_type", ctypes.c_int), ("a_zero_point", i32), ("a_scale", f32),
                ("a_min", i32), ("a_max", i32)]


class QgemmDesc(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("n", i64), ("k", i64), ("flags", u32),
                *INPUT_FIELDS, ("b", pointer), ("b_layout", ctypes.c_int),
                ("b_stride_bytes", i64), *WEIGHT_FIELDS, ("group_k", i64), *BIAS_FIELDS,
                *OUTPUT_FIELDS, ("m_hint", i64), ("kernel", ctypes.c_char_p),
                ("dynamic", pointer)]


class QgemmArgs(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("m", i64), ("a", pointer),
                ("a_stride_bytes", i64), ("c", pointer), ("c_stride_bytes", i64),
                ("post", pointer), ("a_scales", pointer), ("a_zero_points", pointer)]


class Dynamic(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("granularity", ctypes.c_int),
                ("formula", ctypes.c_int), ("form", ctypes.c_int), ("scheme", QScheme)]


AXES = i64 * 3


class QconvDesc(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("rank", i32), ("flags", u32),
                ("in_channels", i64), ("out_channels", i64), ("groups", i64), ("kernel", AXES),
                ("stride", AXES), ("dilation", AXES), ("pad_begin", AXES), ("pad_end", AXES),
                ("output_padding", AXES), *INPUT_FIELDS, ("w", pointer),
                ("w_layout", ctypes.c_int), *WEIGHT_FIELDS, *BIAS_FIELDS,
                ("add_type", ctypes.c_int), ("add_scale", f32), ("add_zero_point", i32),
                *OUTPUT_FIELDS, ("size_hint", AXES), ("kernel_name", ctypes.c_char_p)]


class Tensor(ctypes.Structure):
    _fields_ = [("data", pointer), ("batch_stride_bytes", i64), ("stride_bytes", AXES)]


class QconvArgs(Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("batch", i64), ("in_size", AXES),
                ("a", Tensor), ("c", Tensor), ("add", Tensor), ("post", pointer),
                ("scratch", pointer), ("scratch_bytes", ctypes.c_size_t)]


class Octavo:
    def __init__(self, path):
        self.lib = ctypes.CDLL(str(path))
        self.lib.oct_last_error.restype = ctypes.c_char_p

    def call(self, name, *args):
        if getattr(self.lib, name)(*args):
            raise RuntimeError(f"{name}: {self.lib.oct_last_error().decode()}")

    def qparams(self, formula, scheme, low, high):
        scale, zero_point = f32(), i32()
        self.call(f"oct_qparams_{formula}", ctypes.byref(scheme), f32(low), f32(high),
                  ctypes.byref(scale), ctypes.byref(zero_point))
        return scale.value, zero_point.value


class Observer:
    def __init__(self, octavo, **fields):
        self.octavo = octavo
        self.count = max(fields.get("channels", 0), 1)
        self.bins = fields.setdefault("bins", 2048)
        desc = ObserverDesc(**{"averaging": 0.01, "percentile": 99.99, **fields})
        self.handle = pointer()
        octavo.call("oct_observer_create", ctypes.byref(desc), ctypes.byref(self.handle))

    def __del__(self):
        self.octavo.lib.oct_observer_destroy(self.handle)

    def observe(self, x):
        view = View(data=x.data_ptr(), rank=x.dim(), sizes=(i64 * MAX_RANK)(*x.shape),
                    strides=(i64 * MAX_RANK)(*x.stride()))
        self.octavo.call("oct_observer_observe", self.handle, ctypes.byref(view))

    def _arrays(self, function, first, second):
        a, b = (first * self.count)(), (second * self.count)()
        self.octavo.call(function, self.handle, a, b, i64(self.count))
        return list(a), list(b)

    def qparams(self):
        return self._arrays("oct_observer_qparams", f32, i32)

    def ranges(self):
        return self._arrays("oct_observer_ranges", f32, f32)

    def histogram(self):
        counts, low, high = (f32 * self.bins)(), f32(), f32()
        self.octavo.call("oct_observer_histogram", self.handle, counts, i64(self.bins),
                         ctypes.byref(low), ctypes.byref(high))
        return list(counts), low.value, high.value


class Linear:
    """A plan, ready for tensors."""

    def __init__(self, context, desc):
        self.context, self.desc = context, desc  # the plan lives no longer than its context
        self.handle = pointer()
        context.octavo.call("oct_qgemm_create", context.handle, ctypes.byref(desc),
                            ctypes.byref(self.handle))

    def __del__(self):
        self.context.octavo.lib.oct_qgemm_destroy(self.handle)

    def bind(self, x, c):
        """A function that computes c from x."""
        args = QgemmArgs(m=x.shape[0], a=x.data_ptr(), a_stride_bytes=x.stride(0) * x.element_size(),
                         c=c.data_ptr(), c_stride_bytes=c.stride(0) * c.element_size())
        reference, octavo, plan = ctypes.byref(args), self.context.octavo, self.handle
        return lambda: octavo.call("oct_qgemm_run", plan, reference)


class Context:
    """What runs on a context of one thread, for tensors of PyTorch."""

    def __init__(self, octavo):
        self.octavo = octavo
        self.handle = pointer()
        octavo.call("oct_context_create", None, ctypes.byref(self.handle))

    def __del__(self):
        self.octavo.lib.oct_context_destroy(self.handle)

    def quantize(self, x, kind, scales, zero_points, form, granularity):
        import torch
        q = torch.empty(x.shape, dtype=torch.uint8 if kind == U8 else torch.int8)
        scales = (f32 * len(scales))(*scales)
        zero_points = (i32 * len(zero_points))(*zero_points)
        args = QuantizeArgs(rows=x.shape[0], cols=x.shape[1], x=Matrix(x.data_ptr(), F32, 0),
                            q=Matrix(q.data_ptr(), kind, 0), granularity=granularity, form=form,
                            scales=ctypes.addressof(scales),
                            zero_points=ctypes.addressof(zero_points))
        self.octavo.call("oct_quantize", self.handle, ctypes.byref(args))
        return q

    def linear(self, q, zero_point, scale, weights, w_scales, bias, c_type, c_scale=1.0,
               c_zero_point=0):
        """[M, K] by weights [N, K] of s8."""
        import torch
        m, k = q.shape
        n = weights.shape[0]
        desc = QgemmDesc(n=n, k=k, b=weights.data_ptr(), b_layout=1,
                         **self._layer(q, zero_point, scale, w_scales, bias, c_type, c_scale,
                                       c_zero_point))
        plan = pointer()
        self.octavo.call("oct_qgemm_create", self.handle, ctypes.byref(desc), ctypes.byref(plan))
        c = torch.empty((m, n), dtype=torch.float32 if c_type == F32 else torch.uint8)
        args = QgemmArgs(m=m, a=q.data_ptr(), a_stride_bytes=k, c=c.data_ptr(),
                         c_stride_bytes=n * c.element_size())
        self.octavo.call("oct_qgemm_run", plan, ctypes.byref(args))
        self.octavo.lib.oct_qgemm_destroy(plan)
        return c

    def dynamic_linear(self, weights, w_scales, m):
        """[M, K] of f32, quantised as PyTorch's linear_dynamic does, by weights [N, K] of s8."""
        n, k = weights.shape
        dynamic = Dynamic(granularity=PER_TENSOR, formula=ATEN, form=RECIPROCAL,
                          scheme=QScheme(type=U8, eps=EPS))
        return Linear(self, QgemmDesc(
            n=n, k=k, a_type=F32, b=weights.data_ptr(), b_layout=1, scales=w_scales.data_ptr(),
            scale_count=len(w_scales), weight_type=S8, c_type=F32, m_hint=m,
            dynamic=ctypes.addressof(dynamic)))

    def conv2d(self, q, zero_point, scale, weights, w_scales, bias, shape, out_shape, c_scale,
               c_zero_point):
        """Logical NCHW; memory is made channels-last."""
        import torch
        stride, pads, dilation, groups = shape
        q = q.permute(0, 2, 3, 1).contiguous()
        weights = weights.contiguous()
        desc = QconvDesc(rank=2, in_channels=q.shape[3], out_channels=weights.shape[0],
                         groups=groups, kernel=AXES(*weights.shape[2:]), stride=AXES(*stride),
                         dilation=AXES(*dilation), pad_begin=AXES(*pads), pad_end=AXES(*pads),
                         w=weights.data_ptr(), w_layout=1, add_scale=1.0,
                         **self._layer(q, zero_point, scale, w_scales, bias, U8, c_scale,
                                       c_zero_point))
        plan = pointer()
        self.octavo.call("oct_qconv_create", self.handle, ctypes.byref(desc), ctypes.byref(plan))
        batch, channels, height, width = out_shape
        c = torch.empty((batch, height, width, channels), dtype=torch.uint8)
        args = QconvArgs(batch=batch, in_size=AXES(*q.shape[1:3]), a=Tensor(data=q.data_ptr()),
                         c=Tensor(data=c.data_ptr()))
        self.octavo.call("oct_qconv_run", plan, ctypes.byref(args))
        self.octavo.lib.oct_qconv_destroy(plan)
        return c.permute(0, 3, 1, 2)

    @staticmethod
    def _layer(q, zero_point, scale, w_scales, bias, c_type, c_scale, c_zero_point):
        return {"a_type": U8, "a_zero_point": zero_point, "a_scale": scale,
                "scales": w_scales.data_ptr(), "scale_count": len(w_scales), "weight_type": S8,
                "bias_type": 0 if bias is None else F32,
                "bias": 0 if bias is None else bias.data_ptr(), "c_type": c_type,
                "c_scale": c_scale, "c_zero_point": c_zero_point}
