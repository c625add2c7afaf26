"""The part of Octavo's C API that scripts/compare_torch.py calls, through ctypes."""

import ctypes

U8, S8 = 1, 2
SYMMETRIC, NARROW, REDUCED = 1, 2, 4
MIN_MAX, MOVING_AVERAGE, HISTOGRAM = 1, 2, 3
RECIPROCAL = 2
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
