/* Octavo: exact INT8 matrix multiplication and convolution for x86-64 CPUs.
 *
 * The library is used through *plans*. A plan fixes everything that does not
 * change between calls (weights, scales, zero points, output type), packs the
 * weights and generates the machine code; running it takes pointers, strides and
 * the number of rows, and neither allocates nor looks anything up.
 *
 *     oct_context *ctx;
 *     oct_qgemm *plan;
 *     oct_context_create(NULL, &ctx);
 *     oct_qgemm_desc desc = OCT_QGEMM_DESC_INIT;
 *     ... fill desc ...
 *     oct_qgemm_create(ctx, &desc, &plan);
 *     oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
 *     ... fill args ...
 *     oct_qgemm_run(plan, &args);
 *
 * tests/example.c is a complete program.
 *
 * Conventions
 *   - A quantised value q stands for the real value scale * (q - zero_point).
 *   - Every result is defined exactly and is the same bits on every ISA, for every
 *     number of threads and whatever the caller's MXCSR holds. Accumulation never
 *     saturates.
 *   - A function that can fail returns an oct_status; oct_last_error() then holds a
 *     sentence with the offending numbers. On failure nothing has been written to
 *     the caller's buffers or output parameters.
 *   - Structures begin with `struct_size`; initialise them with the matching
 *     OCT_*_INIT macro, which sets it and the documented defaults.
 *   - Strides and sizes named `_bytes` count bytes; all others count elements.
 *   - The header is plain C99 and may be included from C++.
 */
#ifndef OCTAVO_OCTAVO_H_
#define OCTAVO_OCTAVO_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#error "octavo supports the System V x86-64 ABI only"
#endif

#if defined(OCTAVO_BUILD)
#define OCT_API __attribute__((visibility("default")))
#else
#define OCT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define OCT_VERSION_MAJOR 0
#define OCT_VERSION_MINOR 1
#define OCT_VERSION_PATCH 0

/* "0.1.0": the version of the library that is linked, which a program may compare
 * with the macros above. Never fails; the string is static. */
OCT_API const char* oct_version(void);

/* ------------------------------------------------------------------ status -- */

typedef enum oct_status {
  OCT_OK = 0,
  /* An argument is wrong: null, out of range, overlapping, misaligned, overflowing. */
  OCT_INVALID_ARGUMENT = 1,
  /* The request is legal, but no kernel of this build (or under this ISA cap) does it. */
  OCT_UNSUPPORTED = 2,
  /* The CPU, or the ISA cap, leaves no usable instruction set: AVX2 is the least. */
  OCT_UNSUPPORTED_CPU = 3,
  OCT_OUT_OF_MEMORY = 4,
  /* `struct_size` is not one this version knows: caller and library headers differ. */
  OCT_VERSION_MISMATCH = 5,
  /* A bug in the library, or executable memory refused by the operating system. */
  OCT_INTERNAL = 6
} oct_status;

/* "OCT_OK", "OCT_INVALID_ARGUMENT", ...; "unknown" for other values. Static. */
OCT_API const char* oct_status_name(oct_status status);

/* What went wrong in the last call that failed on this thread, with the offending
 * numbers; "" if none has. Valid until the next failing call on the same thread. */
OCT_API const char* oct_last_error(void);

/* -------------------------------------------------------------------- types -- */

/* Element types. OCT_NONE marks an absent operand. bf16 is the upper half of a
 * binary32, rounded to nearest even. */
typedef enum oct_dtype {
  OCT_NONE = 0,
  OCT_U8 = 1,
  OCT_S8 = 2,
  OCT_S32 = 3,
  OCT_F32 = 4,
  OCT_BF16 = 5
} oct_dtype;

/* Instruction sets, in the order in which OCTAVO_MAX_ISA and `max_isa` cap them. Names:
 * avx2, avxvnni, avxvnniint8, avx512bw, avx512vnni, amx. */
typedef enum oct_isa {
  OCT_ISA_NONE = 0,
  OCT_ISA_AVX2 = 1,
  OCT_ISA_AVXVNNI = 2,
  OCT_ISA_AVXVNNIINT8 = 3,
  OCT_ISA_AVX512BW = 4,
  OCT_ISA_AVX512VNNI = 5,
  OCT_ISA_AMX = 6
} oct_isa;

/* ------------------------------------------------------------------ context -- */

/* A context holds what plans share: the ISA cap and the threads. It may be used from
 * many threads at once, and must outlive its plans. */
typedef struct oct_context oct_context;

/* Runs task(arg, i) once for every i in [0, count), on any threads in any order, and
 * returns when all have returned. `count` is at least 1. */
typedef void (*oct_parallel_for)(void* pool, size_t count, void (*task)(void* arg, size_t i),
                                 void* arg);

typedef struct oct_context_desc {
  size_t struct_size;
  /* No instruction set above this one is used; OCT_ISA_NONE means no cap. The
   * environment variable OCTAVO_MAX_ISA (one of the names above), read when the
   * context is created, lowers the cap further. */
  oct_isa max_isa;
  /* How many threads a run may use, the calling one included: 1 (the default) never
   * starts a thread; 0 means one per core the process may run on. At most 1024.
   * Without `parallel_for` the context owns a pool of threads - 1 workers (pthreadpool, whose
   * creation does not return where the system has no threads to give). They stay awake for some
   * milliseconds after a run, then sleep. While one run uses the pool, concurrent runs go on in
   * their calling threads. */
  int32_t threads;
  /* The caller's pool: called with `pool` and at most `threads` tasks (which must then
   * not be 0). NULL: the context's own. */
  oct_parallel_for parallel_for;
  void* pool;
} oct_context_desc;

#define OCT_CONTEXT_DESC_INIT \
  { sizeof(oct_context_desc), OCT_ISA_NONE, 1, NULL, NULL }

/* Creates a context. `desc` may be NULL for the defaults.
 * Errors: OCT_INVALID_ARGUMENT (null `context`; `threads` or `max_isa` out of range; an
 * unknown OCTAVO_MAX_ISA), OCT_VERSION_MISMATCH, OCT_UNSUPPORTED_CPU, OCT_OUT_OF_MEMORY.
 * The caller owns *context and ends it with oct_context_destroy. */
OCT_API oct_status oct_context_create(const oct_context_desc* desc, oct_context** context);

/* Ends a context. Its plans must have been destroyed. NULL is ignored. */
OCT_API void oct_context_destroy(oct_context* context);

/* Calls body(arg) on this thread, with the context's own threads at hand until it returns: what
 * body runs on this thread with this context and its plans is then handed to them in a fraction
 * of the time, which counts where a network's layers take some microseconds each. Results are the
 * same.
 *
 * The threads wait awake for some milliseconds between runs, then sleep. With one thread, with a
 * parallel_for, within another such body, or while another thread uses the pool, this is no more
 * than the call of body; other threads' runs go on in their calling threads meanwhile. `body` must
 * return: it may not throw, nor jump out.
 * Returns what body returns, or OCT_INVALID_ARGUMENT (null `context` or `body`). */
OCT_API oct_status oct_context_run(oct_context* context, oct_status (*body)(void* arg), void* arg);

/* Describes the machine and the kernels as JSON: {"version", "cpu", "cores", "caches",
 * "threads", "cap", "isas": [{"name", "usable", "emulated", "reason"}], "kernels": [{"name", "isa",
 * "mr", "nr", "kr", "usable"}]}. "emulated": the CPU lacks it, but the library's own tests can run
 * its kernels here by performing the missing instructions.
 * `context` may be NULL: the machine without a cap, also on a CPU that has no usable ISA.
 * Writes at most `size` bytes including the terminating zero to `buffer` (NULL when size
 * is 0), and to *needed, unless NULL, the size that holds all. A text that does not fit is
 * OCT_INVALID_ARGUMENT, except with size 0, which only asks. */
OCT_API oct_status oct_describe(const oct_context* context, char* buffer, size_t size,
                                size_t* needed);

/* --------------------------------------------------------- post-operations -- */

/* What may follow the scaling of a result, in binary32, each operation rounded once; fma is the
 * fused multiply-add. X is a tensor of C's shape, x = float(X - zero_point).
 *
 * A NaN, which infinities and f32 tensors can bring about, becomes the lower bound in RELU, CLAMP
 * and 8-bit C. */
typedef enum oct_post_kind {
  OCT_POST_RELU = 1,        /* max(y, 0) */
  OCT_POST_CLAMP = 2,       /* min(max(y, alpha), beta) */
  OCT_POST_LEAKY_RELU = 3,  /* y > 0 ? y : alpha * y */
  OCT_POST_HARDSIGMOID = 4, /* min(max(fma(alpha, y, beta), 0), 1); PyTorch's, and what ONNX calls
                               HardSwish's, has alpha 1/6 and beta 0.5 */
  OCT_POST_HARDSWISH = 5,   /* y * hardsigmoid(y) */
  OCT_POST_SIGMOID = 6, /* 1 / (1 + e^-y); this and the next four: to 2 ulp of the exact value */
  OCT_POST_TANH = 7,
  OCT_POST_SILU = 8,       /* y * sigmoid(y) */
  OCT_POST_GELU_ERF = 9,   /* y * (1 + erf(y / sqrt(2))) / 2 */
  OCT_POST_GELU_TANH = 10, /* y * (1 + tanh(sqrt(2 / pi) * (y + 0.044715 y^3))) / 2 */
  OCT_POST_ADD = 11,       /* fma(x, scale, y) */
  OCT_POST_MULTIPLY = 12   /* y * (x * scale) */
} oct_post_kind;

enum { OCT_MAX_POST_OPS = 8 };

typedef struct oct_post_op {
  oct_post_kind kind;
  float alpha, beta;  /* as the kind says: finite, but for CLAMP, where only NaN is refused */
  oct_dtype type;     /* ADD and MULTIPLY: X is OCT_U8, OCT_S8 or OCT_F32 */
  float scale;        /* of X; finite, positive, normal */
  int32_t zero_point; /* of X; within its type's range, 0 for f32 */
} oct_post_op;

/* The X of one post-operation at run time. */
typedef struct oct_post_tensor {
  const void* data;     /* aligned to its element; only the elements of C's shape are read */
  int64_t stride_bytes; /* from row to row; 0: every row of C sees the same row of X */
} oct_post_tensor;

/* -------------------------------------------------------------------- qgemm -- */

/* How B, the weights, are laid out in the caller's memory. */
typedef enum oct_b_layout {
  OCT_B_KN = 0, /* K rows of N: element (k, n) at b[k * b_stride_bytes + n] */
  OCT_B_NK = 1  /* N rows of K: element (k, n) at b[n * b_stride_bytes + k] */
} oct_b_layout;

enum {
  /* Accept sums that may leave int32; they then wrap modulo 2^32. */
  OCT_QGEMM_ALLOW_WRAP = 1,
  /* Fused ReLU: real results below zero become zero. */
  OCT_QGEMM_RELU = 2,
  /* Fused clamp of the real result to [clamp_min, clamp_max]. Not with RELU or s32 C. */
  OCT_QGEMM_CLAMP = 4,
  /* Every row of A has a scale and a zero point of its own, given at run. */
  OCT_QGEMM_A_PER_ROW = 8
};

/* How A is quantised while it is read: below, with the elementwise operations. */
struct oct_dynamic;

/* C[M,N] = epilogue(A[M,K] . B[K,N]).
 *
 *   T[m,n] = sum over k of (A[m,k] - a_zero_point) * (B[k,n] - b_zero_points[n])   exact, int32
 *   bias s32 or none, C u8/s8:
 *     C = rne(clamp(float(T + bias[n]) * mult[n])) + c_zero_point
 *     mult[n] = fl(fl(a_scale * b_scales[n]) / c_scale)
 *   otherwise (f32 bias, post-operations, C f32 or bf16, dynamic A or A_PER_ROW, where a_scale and
 *   a_zero_point are the row's), in binary32, each operation rounded once:
 *     y = float(T + bias_s32[n]) * fl(a_scale * b_scales[n]) + bias_f32[n], then the
 *     post-operations in their order, then RELU or CLAMP, then stored as f32, rounded to bf16, or
 *     for u8/s8
 *     C = rne(clamp(y * fl(1 / c_scale))) + c_zero_point
 *   Groups of B's rows (b_group_k) have sums T of their own: from the first to the last
 *     y = float(T_g) * fl(a_scale * b_scales[g,n]) + y of the group before,
 *   where bias_f32 is added to the last product first.
 *   C s32: C = T + bias_s32[n], scales unused (f32 bias, post-operations, RELU, CLAMP refused).
 * rne rounds to nearest, ties to even; clamp keeps the result within the type's range. In the
 * first form RELU and CLAMP narrow that range, by bounds quantised as clamp(rne(x / c_scale) +
 * c_zero_point); in the second they act on y alone. T + bias_s32 wraps modulo 2^32. A RELU or CLAMP
 * that ends the post-operations is the same as the flag, and excludes it. */
typedef struct oct_qgemm_desc {
  size_t struct_size;
  int64_t n, k;   /* 1 .. 2^31 - 1 each */
  uint32_t flags; /* OCT_QGEMM_* */

  oct_dtype a_type;     /* OCT_U8 or OCT_S8; OCT_F32 or OCT_BF16 with `dynamic` */
  int32_t a_zero_point; /* within a_type's range */
  float a_scale;        /* finite, positive, normal; as every scale here. These two are unused
                           with A_PER_ROW and `dynamic` */
  int32_t a_min, a_max; /* a promise: every A[m,k] lies in [a_min, a_max]. Both 0: the whole
                           range of a_type. A range of at most 128 values lets cheaper exact
                           kernels run. Data outside breaks exactness, never memory safety. */

  const void* b; /* read during creation only */
  oct_b_layout b_layout;
  int64_t b_stride_bytes; /* 0: dense */
  const float* b_scales;  /* 1 (per-tensor) or n (per-channel) scales; may be NULL for s32 C */
  int64_t b_scale_count;  /* 1 or n */
  oct_dtype b_type;       /* OCT_S8 or OCT_U8, which is as fast */
  const int32_t* b_zero_points; /* 1 or n, within b_type's range; NULL: zeros. Other than 0 for s8
                                   and 128 for u8 (with AVX-VNNI-INT8 or AMX: 0, too) they cost a
                                   sum over every row of A */
  int64_t b_zero_point_count;   /* 1 or n; with b_group_k also as many as scales, in their order */
  int64_t b_group_k; /* 0, or the rows of B that share scales: a multiple of 4 that divides k.
                        There are then (k / b_group_k) * n scales, those of the first group
                        first. Not with s32 bias or C */

  oct_dtype bias_type; /* OCT_NONE, OCT_S32 (scale a_scale * b_scales[n]) or OCT_F32 */
  const void* bias;    /* n values; NULL exactly when bias_type is OCT_NONE */

  oct_dtype c_type;           /* OCT_S32, OCT_F32, OCT_BF16, OCT_U8 or OCT_S8 */
  float c_scale;              /* u8/s8 only */
  int32_t c_zero_point;       /* u8/s8 only; within c_type's range */
  float clamp_min, clamp_max; /* with OCT_QGEMM_CLAMP: clamp_min <= clamp_max, not NaN */
  const oct_post_op* post;    /* post_count post-operations, in order; NULL if there are none */
  int64_t post_count;         /* 0 .. OCT_MAX_POST_OPS */

  int64_t m_hint;     /* the usual number of rows, 0 if unknown: ranks kernels, no limit */
  const char* kernel; /* NULL, or the name of the kernel to use (see oct_describe) */
  const struct oct_dynamic* dynamic; /* exactly for f32 and bf16 A: how it becomes u8 or s8, in
                                        the cache, before it is multiplied. K up to 65536; not
                                        with s32 C */
} oct_qgemm_desc;

#define OCT_QGEMM_DESC_INIT                                                                     \
  {                                                                                             \
    sizeof(oct_qgemm_desc), 0, 0, 0, OCT_U8, 0, 1.0f, 0, 0, NULL, OCT_B_KN, 0, NULL, 0, OCT_S8, \
        NULL, 0, 0, OCT_NONE, NULL, OCT_U8, 1.0f, 0, 0.0f, 0.0f, NULL, 0, 0, NULL, NULL         \
  }

/* An immutable plan: packed weights, epilogue parameters, machine code. Any number of threads
 * may run one plan at the same time. */
typedef struct oct_qgemm oct_qgemm;

/* Creates a plan: checks `desc`, selects kernels, finds or generates their code, packs B. The
 * caller's arrays are not referenced afterwards.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH, OCT_UNSUPPORTED (the forced kernel cannot
 * do this problem, with the reason), OCT_OUT_OF_MEMORY, OCT_INTERNAL. K beyond
 * (2^31 - 1) / (max |A - a_zero_point| * max |B - b_zero_point|), where T may leave int32 (u8 A
 * with zero point 0 and s8 B with zero points 0: 65793), is OCT_INVALID_ARGUMENT without
 * ALLOW_WRAP.
 * The caller owns *plan and ends it with oct_qgemm_destroy. Thread-safe. */
OCT_API oct_status oct_qgemm_create(oct_context* context, const oct_qgemm_desc* desc,
                                    oct_qgemm** plan);

/* Ends a plan that no thread is running. NULL is ignored. */
OCT_API void oct_qgemm_destroy(oct_qgemm* plan);

typedef struct oct_qgemm_args {
  size_t struct_size;
  int64_t m;                    /* rows of A and C; 0 is legal and does nothing */
  const void* a;                /* M x K, aligned to its element; only these elements are read */
  int64_t a_stride_bytes;       /* >= K * element size, and a multiple of it */
  void* c;                      /* M x N, aligned to its element; only these elements are written */
  int64_t c_stride_bytes;       /* >= N * element size, and a multiple of it */
  const oct_post_tensor* post;  /* one for every post-operation, ignored where it has no tensor;
                                   NULL if none has. X may be C itself, with equal strides and
                                   element sizes; otherwise it must not overlap C */
  const float* a_scales;        /* with A_PER_ROW: M scales (not for s32 C) */
  const int32_t* a_zero_points; /* with A_PER_ROW: M zero points of a_type; NULL: zeros */
} oct_qgemm_args;

#define OCT_QGEMM_ARGS_INIT \
  { sizeof(oct_qgemm_args), 0, NULL, 0, NULL, 0, NULL, NULL, NULL }

/* Runs a plan: writes all of C, reads all of A. C must not overlap A. Allocates nothing, takes
 * no lock; uses up to the context's threads. Uses at most 96 KiB of stack in each thread.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH. Thread-safe. */
OCT_API oct_status oct_qgemm_run(const oct_qgemm* plan, const oct_qgemm_args* args);

/* Why the plan computes as it does, for `m` rows, as JSON: {"op", "problem", "kernel", "isa",
 * "blocking", "threads", "predicted_cycles", "candidates": [{"kernel", "predicted_cycles",
 * "chosen", "rejected"}]}: predictions are for one core; "rejected" is the reason, or null.
 * Buffer rules as in oct_describe. */
OCT_API oct_status oct_qgemm_explain(const oct_qgemm* plan, int64_t m, char* buffer, size_t size,
                                     size_t* needed);

/* -------------------------------------------------------------------- qconv -- */

enum { OCT_MAX_SPATIAL = 3 };

/* How convolution weights are laid out; I counts the input channels of one group. */
typedef enum oct_weights_layout {
  OCT_WEIGHTS_OHWI = 0, /* OWI, OHWI, ODHWI */
  OCT_WEIGHTS_OIHW = 1  /* OIW, OIHW, OIDHW; transposed convolution: I is all input channels and
                           O those of one group, IOHW order, as frameworks store them */
} oct_weights_layout;

enum {
  OCT_QCONV_ALLOW_WRAP = 1, /* as OCT_QGEMM_ALLOW_WRAP */
  OCT_QCONV_RELU = 2,
  OCT_QCONV_CLAMP = 4,
  OCT_QCONV_TRANSPOSED = 8 /* transposed convolution: stride spreads the input */
};

/* A convolution of `rank` spatial dimensions over channels-last tensors.
 *
 * Arrays of OCT_MAX_SPATIAL list the spatial dimensions outermost first (rank 2: height, width) in
 * their first `rank` entries; the others are ignored.
 *
 *   T[b, o.., c] = sum over taps t and channels i of
 *       (A[b, o * stride - pad_begin + t * dilation, g, i] - a_zero_point) *
 *       (W[c, t, i] - w_zero_points[c])
 *   with g the group of output channel c. Taps outside the input add exactly zero.
 *   Output size: (in + pad_begin + pad_end - dilation * (kernel - 1) - 1) / stride + 1, rounded
 *   down.
 *   TRANSPOSED: the adjoint of that map in its spatial indices, output size
 *   (in - 1) * stride - pad_begin - pad_end + dilation * (kernel - 1) + 1 + output_padding.
 *
 * The epilogue is qgemm's with N the output channels (oct_qgemm_desc). add_type is short for a
 * first post-operation OCT_POST_ADD with these parameters, whose tensor is oct_qconv_args' `add`.
 */
typedef struct oct_qconv_desc {
  size_t struct_size;
  int32_t rank;                                                 /* 1, 2 or 3 */
  uint32_t flags;                                               /* OCT_QCONV_* */
  int64_t in_channels, out_channels, groups;                    /* groups divides both */
  int64_t kernel[OCT_MAX_SPATIAL];                              /* >= 1 */
  int64_t stride[OCT_MAX_SPATIAL];                              /* >= 1 */
  int64_t dilation[OCT_MAX_SPATIAL];                            /* >= 1 */
  int64_t pad_begin[OCT_MAX_SPATIAL], pad_end[OCT_MAX_SPATIAL]; /* >= 0 */
  int64_t output_padding[OCT_MAX_SPATIAL]; /* TRANSPOSED only, < max(stride, dilation) */

  oct_dtype a_type; /* A: as in oct_qgemm_desc */
  int32_t a_zero_point;
  float a_scale;
  int32_t a_min, a_max;

  const void* w; /* dense; read during creation only */
  oct_weights_layout w_layout;
  const float* w_scales;        /* per output channel, or one */
  int64_t w_scale_count;        /* 1 or out_channels */
  oct_dtype w_type;             /* these: as b_type, b_zero_points in oct_qgemm_desc */
  const int32_t* w_zero_points; /* per output channel, or one; NULL: zeros */
  int64_t w_zero_point_count;   /* 1 or out_channels */

  oct_dtype bias_type; /* as in oct_qgemm_desc */
  const void* bias;    /* out_channels values */

  oct_dtype add_type; /* OCT_NONE, OCT_U8 or OCT_S8: the type of X */
  float add_scale;
  int32_t add_zero_point;

  oct_dtype c_type; /* as in oct_qgemm_desc; s32 excludes add_type */
  float c_scale;
  int32_t c_zero_point;
  float clamp_min, clamp_max;
  const oct_post_op* post; /* as in oct_qgemm_desc; with add_type, at most
                              OCT_MAX_POST_OPS - 1 */
  int64_t post_count;

  int64_t size_hint[OCT_MAX_SPATIAL]; /* the usual input size, 0 if unknown: ranks lowerings */
  const char* kernel_name;            /* NULL, or the kernel to use */
} oct_qconv_desc;

#define OCT_QCONV_DESC_INIT                                                                       \
  {                                                                                               \
    sizeof(oct_qconv_desc), 2, 0, 0, 0, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, \
        {0, 0, 0}, OCT_U8, 0, 1.0f, 0, 0, NULL, OCT_WEIGHTS_OHWI, NULL, 0, OCT_S8, NULL, 0,       \
        OCT_NONE, NULL, OCT_NONE, 1.0f, 0, OCT_U8, 1.0f, 0, 0.0f, 0.0f, NULL, 0, {0, 0, 0}, NULL  \
  }

/* As oct_qgemm: immutable, thread-safe, and good for any batch and input size. */
typedef struct oct_qconv oct_qconv;

/* Creates a plan; as oct_qgemm_create. K, for the bound on sums, is taps * channels of a group. */
OCT_API oct_status oct_qconv_create(oct_context* context, const oct_qconv_desc* desc,
                                    oct_qconv** plan);

/* Ends a plan that no thread is running. NULL is ignored. */
OCT_API void oct_qconv_destroy(oct_qconv* plan);

/* A channels-last tensor: channels are contiguous, strides are free. A stride of 0 is the dense
 * one. */
typedef struct oct_tensor {
  void* data; /* only read for inputs */
  int64_t batch_stride_bytes;
  int64_t stride_bytes[OCT_MAX_SPATIAL]; /* from one depth, row, pixel to the next */
} oct_tensor;

typedef struct oct_qconv_args {
  size_t struct_size;
  int64_t batch; /* 0 is legal and does nothing */
  int64_t in_size[OCT_MAX_SPATIAL];
  oct_tensor a, c;        /* A [batch, in.., in_channels], C [batch, out.., out_channels] */
  oct_tensor add;         /* X, shaped as C; only with add_type */
  const oct_tensor* post; /* as in oct_qgemm_args */
  void* scratch;          /* NULL: buffers are on the stack */
  size_t scratch_bytes;   /* at least what oct_qconv_scratch_bytes says, if scratch is set */
} oct_qconv_args;

#define OCT_QCONV_ARGS_INIT                                                           \
  {                                                                                   \
    sizeof(oct_qconv_args), 1, {0, 0, 0}, {NULL, 0, {0, 0, 0}}, {NULL, 0, {0, 0, 0}}, \
        {NULL, 0, {0, 0, 0}}, NULL, NULL, 0                                           \
  }

/* The output size for an input size. OCT_INVALID_ARGUMENT if it would be empty or overflow. */
OCT_API oct_status oct_qconv_output_size(const oct_qconv* plan,
                                         const int64_t in_size[OCT_MAX_SPATIAL],
                                         int64_t out_size[OCT_MAX_SPATIAL]);

/* Runs a plan; as oct_qgemm_run. C must not overlap A; X may be C itself (same pointer and
 * strides), as other tensors of post-operations may. Buffers are
 * at most 96 KiB for each thread, whatever the sizes: on its stack, or in `scratch`, which no
 * tensor may overlap and no other run may use meanwhile. */
OCT_API oct_status oct_qconv_run(const oct_qconv* plan, const oct_qconv_args* args);

/* How many bytes of scratch a run can be lent, of any alignment: the same for every batch and input
 * size. A run with scratch uses at most 16 KiB of stack.
 * Errors: OCT_INVALID_ARGUMENT (null). */
OCT_API oct_status oct_qconv_scratch_bytes(const oct_qconv* plan, size_t* bytes);

/* As oct_qgemm_explain, for one image of the given size. */
OCT_API oct_status oct_qconv_explain(const oct_qconv* plan, const int64_t in_size[OCT_MAX_SPATIAL],
                                     char* buffer, size_t size, size_t* needed);

/* ----------------------------------------------------- quantisation parameters -- */

/* From floating-point data to int8: a *scheme* says which integers may be used, a *range* of
 * real values comes from an observer or the caller, and a formula turns the two into a scale and
 * a zero point. Nothing here needs a context; the functions are pure, and thread-safe. */

enum {
  /* Zero is the middle of the integers: zero point 0 for s8; for u8 128, or, with quant_min and
   * quant_max given, their mean rounded down. */
  OCT_QSCHEME_SYMMETRIC = 1,
  /* The lowest integer is not used: [-127, 127] or [1, 255]. */
  OCT_QSCHEME_NARROW = 2,
  /* Both ends are halved, rounding down: [-64, 63] or [0, 127]. Not with symmetric u8. */
  OCT_QSCHEME_REDUCED = 4
};

typedef struct oct_qscheme {
  size_t struct_size;
  oct_dtype type;               /* OCT_U8 or OCT_S8 */
  uint32_t flags;               /* OCT_QSCHEME_* */
  int32_t quant_min, quant_max; /* both 0: as type and flags say. Otherwise a range that holds 0
                                   and is within the type's; not with NARROW */
  float eps;                    /* the least scale of oct_qparams_observer */
} oct_qscheme;

#define OCT_QSCHEME_INIT \
  { sizeof(oct_qscheme), OCT_U8, 0, 0, 0, 1.1920928955078125e-7f }

/* The integers [*lo, *hi] that a scheme uses.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH. */
OCT_API oct_status oct_qscheme_range(const oct_qscheme* scheme, int32_t* lo, int32_t* hi);

/* The scale and zero point for real values [min, max], finite and min <= max; the range is widened
 * to hold 0 first. With [lo, hi] the scheme's integers, by the formula of
 *   oct_qparams_observer  the observers of torch.ao.quantization, in binary32.
 *                         affine:    scale = max((max - min) / (hi - lo), eps)
 *                                    zero_point = clamp(lo - rne(min / scale), lo, hi)
 *                         symmetric: scale = max(max(-min, max) / ((hi - lo) / 2), eps)
 *   oct_qparams_fbgemm    ChooseQuantizationParams of FBGEMM: the scale is computed in binary64 and
 *                         rounded, scales below 6.1e-5 are raised to it, and the zero point comes
 *                         from whichever end rounds less. SYMMETRIC is its preserve_sparsity.
 *   oct_qparams_aten      the function of that name in ATen, which PyTorch's dynamic operators
 *                         call: the scale is rounded only at the end, and ends are compared by
 *                         another term
 *   oct_qparams_onnx      DynamicQuantizeLinear of ONNX, always u8 [0, 255]: scale = (max - min) /
 *                         255, zero_point = rne(clamp(-min / scale)). Ranges too narrow for a
 *                         normal scale give 1/255, as the reference evaluator does for [0, 0].
 * Each equals its source bit for bit; they differ from one another. eps counts for the first only.
 * Errors: OCT_INVALID_ARGUMENT (also when the scale is beyond binary32), OCT_VERSION_MISMATCH. */
OCT_API oct_status oct_qparams_observer(const oct_qscheme* scheme, float min, float max,
                                        float* scale, int32_t* zero_point);
OCT_API oct_status oct_qparams_fbgemm(const oct_qscheme* scheme, float min, float max, float* scale,
                                      int32_t* zero_point);
OCT_API oct_status oct_qparams_aten(const oct_qscheme* scheme, float min, float max, float* scale,
                                    int32_t* zero_point);
OCT_API oct_status oct_qparams_onnx(float min, float max, float* scale, int32_t* zero_point);

/* ---------------------------------------------------------------- observers -- */

/* An observer is shown calibration data, batch by batch, and then gives scales and zero points by
 * oct_qparams_observer. Values that are not finite are counted and otherwise ignored. One thread
 * at a time may change an observer; any number may read it meanwhile only if none changes it. */
typedef struct oct_observer oct_observer;

typedef enum oct_observer_kind {
  /* The least and the greatest value. */
  OCT_OBSERVER_MIN_MAX = 1,
  /* The first batch's extrema, moved by `averaging` of the way to each later batch's. The first
   * batch keeps the weight (1 - averaging)^n after n more: 36.6 % after 100 at 0.01. */
  OCT_OBSERVER_MOVING_AVERAGE = 2,
  /* PyTorch's HistogramObserver: a histogram on exactly the range of the data, old bins split in
   * 16 when it grows, and a greedy search that narrows the range until an L2 error, which assumes
   * 256 levels, first increases. */
  OCT_OBSERVER_HISTOGRAM = 3,
  /* The three below keep the same histogram, but of magnitudes for symmetric schemes, and with 0
   * in the range. The range found is made of whole bins.
   * Cuts at most (100 - percentile) % of the values: half of them on either side, or, for
   * symmetric schemes, the greatest magnitudes. */
  OCT_OBSERVER_PERCENTILE = 4,
  /* The least Kullback-Leibler divergence between the clipped values and the same on the scheme's
   * number of levels (half of it for symmetric schemes). The bin of zero counts as its neighbour.
   * Among equals the widest range. */
  OCT_OBSERVER_ENTROPY = 5,
  /* The least mean squared error of quantising the bins' centres. Among equals the widest range. */
  OCT_OBSERVER_MSE = 6,
  /* Sees nothing; gives `scale` and `zero_point`. */
  OCT_OBSERVER_FIXED = 7
} oct_observer_kind;

typedef struct oct_observer_desc {
  size_t struct_size;
  oct_observer_kind kind;
  oct_qscheme scheme;
  int64_t channels;     /* 0: one range for the tensor. Otherwise one for each channel; MIN_MAX and
                           MOVING_AVERAGE only */
  int32_t channel_axis; /* which dimension of the data counts channels. Weights of linear layers
                           and convolutions [OC, ...]: 0, of transposed convolutions and of ONNX
                           MatMul [K, N]: 1 */
  float averaging;      /* MOVING_AVERAGE: above 0, at most 1 */
  int32_t bins;         /* HISTOGRAM to MSE: 2 .. 2^20; ENTROPY: more than it has levels, since
                           with as many there is but one candidate */
  double percentile;    /* PERCENTILE: above 0, at most 100 */
  float scale;          /* FIXED */
  int32_t zero_point;   /* FIXED */
} oct_observer_desc;

#define OCT_OBSERVER_DESC_INIT                                                                   \
  {                                                                                              \
    sizeof(oct_observer_desc), OCT_OBSERVER_MIN_MAX, OCT_QSCHEME_INIT, 0, 0, 0.01f, 2048, 99.99, \
        0.0f, 0                                                                                  \
  }

#define OCT_MAX_RANK 8

/* A strided tensor: element (i0, i1, ...) is data[i0 * strides[0] + i1 * strides[1] + ...]. */
typedef struct oct_f32_view {
  size_t struct_size;
  const float* data; /* may be NULL if a size is 0 */
  int32_t rank;      /* 1 .. OCT_MAX_RANK */
  int64_t sizes[OCT_MAX_RANK];
  int64_t strides[OCT_MAX_RANK]; /* in elements, of either sign; all 0: dense, the last dimension
                                    contiguous */
} oct_f32_view;

#define OCT_F32_VIEW_INIT                     \
  {                                           \
    sizeof(oct_f32_view), NULL, 1, {0}, { 0 } \
  }

/* Creates an observer that has seen nothing.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH, OCT_OUT_OF_MEMORY.
 * The caller owns *observer and ends it with oct_observer_destroy. */
OCT_API oct_status oct_observer_create(const oct_observer_desc* desc, oct_observer** observer);

/* Ends an observer. NULL is ignored. */
OCT_API void oct_observer_destroy(oct_observer* observer);

/* Shows one batch. Without a finite value it changes only the counts (and per channel, a channel
 * without one skips the batch). On failure the observer is as before.
 * Errors: OCT_INVALID_ARGUMENT (also when sizes[channel_axis] is not `channels`),
 * OCT_VERSION_MISMATCH, OCT_OUT_OF_MEMORY. */
OCT_API oct_status oct_observer_observe(oct_observer* observer, const oct_f32_view* batch);

/* Makes `observer` what it would be if the batches of `other`, which was created with an equal
 * description, had followed its own: exactly for MIN_MAX, up to rounding for MOVING_AVERAGE, to
 * one bin for the histograms (but for some 1e-5 of the mass, which repeated splitting of bins
 * spreads farther).
 * Errors: OCT_INVALID_ARGUMENT (with the field in which the descriptions differ),
 * OCT_OUT_OF_MEMORY. */
OCT_API oct_status oct_observer_merge(oct_observer* observer, const oct_observer* other);

/* Makes an observer what it was when created.
 * Errors: OCT_INVALID_ARGUMENT, OCT_OUT_OF_MEMORY. */
OCT_API oct_status oct_observer_reset(oct_observer* observer);

/* How many values were seen: finite, not a number, and infinite. Any pointer may be NULL. */
OCT_API oct_status oct_observer_counts(const oct_observer* observer, uint64_t* finite,
                                       uint64_t* nans, uint64_t* infinities);

/* The ranges that the parameters follow from. `count` is 1, or the number of channels. Where no
 * finite value was seen: min = +inf, max = -inf. FIXED: what its parameters can express. */
OCT_API oct_status oct_observer_ranges(const oct_observer* observer, float* mins, float* maxs,
                                       int64_t count);

/* The parameters. `count` is 1, or the number of channels. Where no finite value was seen: scale 1
 * and zero point 0, as in PyTorch.
 * Errors: OCT_INVALID_ARGUMENT (also when a range is too wide for a scale in binary32). */
OCT_API oct_status oct_observer_qparams(const oct_observer* observer, float* scales,
                                        int32_t* zero_points, int64_t count);

/* The histogram of HISTOGRAM to MSE: `bins` counts (fractions appear when the range grows) of bins
 * of equal width on [*min, *max].
 * Errors: OCT_INVALID_ARGUMENT (an observer without one; `bins` not its number of bins). */
OCT_API oct_status oct_observer_histogram(const oct_observer* observer, float* counts, int64_t bins,
                                          float* min, float* max);

/* Writes the observer as a blob: magic, version, length, description and state, checksum; the same
 * bytes on every machine. Buffer rules as in oct_describe. */
OCT_API oct_status oct_observer_save(const oct_observer* observer, void* buffer, size_t size,
                                     size_t* needed);

/* Creates an observer from the `size` bytes of a blob.
 * Errors: OCT_INVALID_ARGUMENT (not a blob of an observer; cut short; too long; damaged),
 * OCT_VERSION_MISMATCH (of a version that this library does not know), OCT_OUT_OF_MEMORY.
 * The caller owns *observer. */
OCT_API oct_status oct_observer_load(const void* blob, size_t size, oct_observer** observer);

/* ------------------------------------------------------------- elementwise -- */

/* How a real value is divided by a scale. Results differ at ties and near them; neither form
 * stands in for the other, and there is no default. */
typedef enum oct_quantize_form {
  OCT_QUANTIZE_DIVIDE = 1,    /* clamp(rne(x / scale) + zero_point): ONNX, TFLite */
  OCT_QUANTIZE_RECIPROCAL = 2 /* clamp(rne(x * fl(1 / scale)) + zero_point): PyTorch, FBGEMM */
} oct_quantize_form;

/* What has a scale and zero point, or a range, of its own. */
typedef enum oct_granularity {
  OCT_PER_TENSOR = 0,
  OCT_PER_ROW = 1,   /* tokens, or output channels of [N, K] weights */
  OCT_PER_COLUMN = 2 /* channels of a channels-last tensor, or of [K, N] weights */
} oct_granularity;

/* A matrix: rows of contiguous elements. A tensor [outer, channels, inner] with parameters per
 * channel is outer * channels rows for inner > 1 and outer rows for inner = 1. */
typedef struct oct_matrix {
  void* data; /* only read for inputs; aligned to its element */
  oct_dtype type;
  int64_t stride_bytes; /* from a row to the next, a multiple of the element; 0: dense */
} oct_matrix;

/* The functions below run at the speed of memory on any usable instruction set and up to the
 * context's threads. The first call of a kind in a context generates its code; later ones allocate
 * nothing and take no lock. Arrays of parameters have 1, `rows` or `cols` entries; zero points may
 * be NULL, for zeros. No rows or no columns are legal. An output must not overlap an input, except
 * that it may be the input if both have one stride and elements of one size.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH, OCT_OUT_OF_MEMORY, OCT_INTERNAL.
 * Thread-safe. */

/* q = clamp(rne(x / scale) + zero_point, q_min, q_max), or x * fl(1 / scale): see
 * oct_quantize_form. NaN becomes q_min; infinities saturate. */
typedef struct oct_quantize_args {
  size_t struct_size;
  int64_t rows, cols;
  oct_matrix x; /* OCT_F32 or OCT_BF16 */
  oct_matrix q; /* OCT_U8 or OCT_S8 */
  oct_granularity granularity;
  oct_quantize_form form;
  const float* scales;        /* RECIPROCAL: with a normal 1 / scale */
  const int32_t* zero_points; /* within q's type */
  int32_t q_min, q_max;       /* both 0: the whole range of the type */
} oct_quantize_args;

#define OCT_QUANTIZE_ARGS_INIT                                                              \
  {                                                                                         \
    sizeof(oct_quantize_args), 0, 0, {NULL, OCT_F32, 0}, {NULL, OCT_U8, 0}, OCT_PER_TENSOR, \
        (oct_quantize_form)0, NULL, NULL, 0, 0                                              \
  }

OCT_API oct_status oct_quantize(const oct_context* context, const oct_quantize_args* args);

/* x = float(q - zero_point) * scale, then rounded to nearest even for bf16. */
typedef struct oct_dequantize_args {
  size_t struct_size;
  int64_t rows, cols;
  oct_matrix q; /* OCT_U8 or OCT_S8 */
  oct_matrix x; /* OCT_F32 or OCT_BF16 */
  oct_granularity granularity;
  const float* scales;
  const int32_t* zero_points; /* within q's type */
} oct_dequantize_args;

#define OCT_DEQUANTIZE_ARGS_INIT                                                              \
  {                                                                                           \
    sizeof(oct_dequantize_args), 0, 0, {NULL, OCT_U8, 0}, {NULL, OCT_F32, 0}, OCT_PER_TENSOR, \
        NULL, NULL                                                                            \
  }

OCT_API oct_status oct_dequantize(const oct_context* context, const oct_dequantize_args* args);

/* c = clamp(rne(float(a - a_zero_point) * fl(a_scale / c_scale)) + c_zero_point, c_min, c_max). */
typedef struct oct_requantize_args {
  size_t struct_size;
  int64_t rows, cols;
  oct_matrix a, c;                  /* OCT_U8 or OCT_S8 each */
  oct_granularity granularity;      /* of both */
  const float *a_scales, *c_scales; /* with a normal quotient */
  const int32_t *a_zero_points, *c_zero_points;
  int32_t c_min, c_max; /* both 0: the whole range of the type */
} oct_requantize_args;

#define OCT_REQUANTIZE_ARGS_INIT                                                                   \
  {                                                                                                \
    sizeof(oct_requantize_args), 0, 0, {NULL, OCT_U8, 0}, {NULL, OCT_U8, 0}, OCT_PER_TENSOR, NULL, \
        NULL, NULL, NULL, 0, 0                                                                     \
  }

OCT_API oct_status oct_requantize(const oct_context* context, const oct_requantize_args* args);

/* The least and the greatest of the finite elements; min = +inf, max = -inf where there are none.
 * Zeros are given as +0. The qparams functions take the result. */
typedef struct oct_minmax_args {
  size_t struct_size;
  int64_t rows, cols;
  oct_matrix x; /* OCT_F32 or OCT_BF16 */
  oct_granularity granularity;
  float *mins, *maxs;
} oct_minmax_args;

#define OCT_MINMAX_ARGS_INIT \
  { sizeof(oct_minmax_args), 0, 0, {NULL, OCT_F32, 0}, OCT_PER_TENSOR, NULL, NULL }

OCT_API oct_status oct_minmax(const oct_context* context, const oct_minmax_args* args);

/* ----------------------------------------------------------- dynamic A -- */

/* Which of the functions oct_qparams_* gives scale and zero point. */
typedef enum oct_qparams_formula {
  OCT_QPARAMS_OBSERVER = 1,
  OCT_QPARAMS_FBGEMM = 2,
  OCT_QPARAMS_ATEN = 3, /* with RECIPROCAL, per tensor: PyTorch's linear_dynamic */
  OCT_QPARAMS_ONNX = 4  /* with DIVIDE, per tensor: DynamicQuantizeLinear; u8 [0, 255] only */
} oct_qparams_formula;

/* A of oct_qgemm is quantised as oct_minmax, the formula and oct_quantize would: elements that are
 * not finite do not count for the range, and are limited to it. Data without a finite element has
 * the parameters of [0, 0]; a scale is at most FLT_MAX. */
struct oct_dynamic {
  size_t struct_size;
  oct_granularity granularity; /* OCT_PER_TENSOR, or OCT_PER_ROW: rows that do not depend on each
                                  other */
  oct_qparams_formula formula;
  oct_quantize_form form;
  oct_qscheme scheme;
};
typedef struct oct_dynamic oct_dynamic;

#define OCT_DYNAMIC_INIT                                                            \
  {                                                                                 \
    sizeof(oct_dynamic), OCT_PER_ROW, (oct_qparams_formula)0, (oct_quantize_form)0, \
        OCT_QSCHEME_INIT                                                            \
  }

/* ------------------------------------------------------- weights and biases -- */

/* Dense arrays [outer, channels, inner] are meant below: element (o, c, i) is at
 * x[(o * channels + c) * inner + i], which puts the channels on any axis. Weights [N, K] per row
 * are 1, N, K; [K, N] per column K, N, 1; any array per tensor 1, 1, its size. All sizes are at
 * least 1, all inputs finite. */

typedef struct oct_weights_desc {
  size_t struct_size;
  oct_qscheme scheme;
  oct_quantize_form form;
  const float* weights;
  int64_t outer, channels, inner;
} oct_weights_desc;

#define OCT_WEIGHTS_DESC_INIT                                                               \
  {                                                                                         \
    sizeof(oct_weights_desc),                                                               \
        {sizeof(oct_qscheme), OCT_S8, OCT_QSCHEME_SYMMETRIC, 0, 0, 1.1920928955078125e-7f}, \
        (oct_quantize_form)0, NULL, 1, 1, 1                                                 \
  }

/* Quantises weights: by oct_qparams_observer for the extrema of each channel, limited to the
 * scheme's integers. Writes outer * channels * inner bytes of the scheme's type, and one scale and
 * zero point per channel. `zero_points` may be NULL for symmetric s8, whose are all 0. The arrays
 * must not overlap.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH, OCT_OUT_OF_MEMORY. */
OCT_API oct_status oct_quantize_weights(const oct_weights_desc* desc, void* q, float* scales,
                                        int32_t* zero_points);

/* A bias as int32 in the scale of an int8 product: q[i] = rne(bias[i] / fl(a_scale * b_scale[i])),
 * the quotient in binary64, limited to int32; `b_scale_count` is 1 or n. *saturated, unless NULL,
 * receives how many did not fit, which happens in channels whose weights are all near zero; an f32
 * bias has no such limit.
 * Errors: OCT_INVALID_ARGUMENT (also when a product of scales is not a normal number). */
OCT_API oct_status oct_quantize_bias(const float* bias, int64_t n, float a_scale,
                                     const float* b_scales, int64_t b_scale_count, int32_t* q,
                                     int64_t* saturated);

/* --------------------------------------------------------------- equalising -- */

/* These move magnitude between tensors before they are quantised and leave the network's function
 * as it is. Factors that would be zero, infinite or not a number become 1. */

/* Two layers, of which the first's output channels are the second's input channels, with nothing
 * but a positively homogeneous function (ReLU, PReLU) between them. */
typedef struct oct_equalize_desc {
  size_t struct_size;
  int64_t channels;      /* those between the layers */
  const float* weights1; /* [outer1, channels, inner1]; a linear layer [OC, IC]: 1, OC, IC */
  int64_t outer1, inner1;
  const float* bias1;    /* `channels` values, or NULL */
  const float* weights2; /* [outer2, channels, inner2]; a linear layer [OC, IC]: OC, IC, 1 */
  int64_t outer2, inner2;
  double threshold;       /* stop when the norms of both weights' changes sum to less */
  int32_t max_iterations; /* at least 1 */
} oct_equalize_desc;

#define OCT_EQUALIZE_DESC_INIT \
  { sizeof(oct_equalize_desc), 1, NULL, 1, 1, NULL, NULL, 1, 1, 1e-4, 100 }

/* Cross-layer equalisation, as torch.ao.quantization's `equalize`: with r1 and r2 the widths of a
 * channel's ranges in the two layers and f = sqrt(r1 / (r2 + 1e-9)), layer 1 and its bias are
 * multiplied by 1/f and layer 2 by f, until it converges. Writes the new weights and bias (which
 * may be the old arrays), and, unless NULL, the product of the factors of each channel and the
 * number of iterations.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH, OCT_OUT_OF_MEMORY. */
OCT_API oct_status oct_cross_layer_equalize(const oct_equalize_desc* desc, float* weights1,
                                            float* bias1, float* weights2, float* factors,
                                            int32_t* iterations);

/* SmoothQuant: factors[c] = (x_absmax[c] + eps)^alpha / (w_absmax[c] + eps)^(1 - alpha), eps =
 * 2^-23, from the greatest magnitudes of each input channel of a layer in activations and weights.
 * Activations are to be divided by the factors, which is folded into the layer before (for a
 * normalisation: its gain and bias), and weights multiplied, by oct_scale_channels.
 * Errors: OCT_INVALID_ARGUMENT (also for alpha outside [0, 1], negative magnitudes). */
OCT_API oct_status oct_smoothquant_factors(int64_t channels, const float* x_absmax,
                                           const float* w_absmax, double alpha, float* factors);

/* PyTorch's input-weight equalisation: factors[c] = sqrt((w_max - w_min) / (x_max - x_min)), by
 * which activations are to be multiplied and weights divided.
 * Errors: OCT_INVALID_ARGUMENT (also when a minimum is above its maximum). */
OCT_API oct_status oct_input_weight_factors(int64_t channels, const float* x_min,
                                            const float* x_max, const float* w_min,
                                            const float* w_max, float* factors);

typedef enum oct_scale_operation {
  OCT_SCALE_MULTIPLY = 1,
  OCT_SCALE_DIVIDE = 2
} oct_scale_operation;

/* y = x * factors[c] or x / factors[c] for an array [outer, channels, inner]; y may be x.
 * Errors: OCT_INVALID_ARGUMENT (also when a factor is not finite, positive and normal). */
OCT_API oct_status oct_scale_channels(oct_scale_operation operation, const float* x, int64_t outer,
                                      int64_t channels, int64_t inner, const float* factors,
                                      float* y);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* OCTAVO_OCTAVO_H_ */
