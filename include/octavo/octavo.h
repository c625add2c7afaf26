/* Octavo: exact INT8 matrix multiplication for x86-64 CPUs.
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
OCT_API const char *oct_version(void);

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
OCT_API const char *oct_status_name(oct_status status);

/* What went wrong in the last call that failed on this thread, with the offending
 * numbers; "" if none has. Valid until the next failing call on the same thread. */
OCT_API const char *oct_last_error(void);

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
typedef void (*oct_parallel_for)(void *pool, size_t count, void (*task)(void *arg, size_t i),
                                 void *arg);

typedef struct oct_context_desc {
  size_t struct_size;
  /* No instruction set above this one is used; OCT_ISA_NONE means no cap. The
   * environment variable OCTAVO_MAX_ISA (one of the names above), read when the
   * context is created, lowers the cap further. */
  oct_isa max_isa;
  /* How many threads a run may use, the calling one included: 1 (the default) never
   * starts a thread; 0 means one per core the process may run on. At most 1024.
   * Without `parallel_for` the context owns a pool of threads - 1 workers. While one
   * run uses the pool, concurrent runs go on in their calling threads. */
  int32_t threads;
  /* The caller's pool: called with `pool` and at most `threads` tasks (which must then
   * not be 0). NULL: the context's own. */
  oct_parallel_for parallel_for;
  void *pool;
} oct_context_desc;

#define OCT_CONTEXT_DESC_INIT {sizeof(oct_context_desc), OCT_ISA_NONE, 1, NULL, NULL}

/* Creates a context. `desc` may be NULL for the defaults.
 * Errors: OCT_INVALID_ARGUMENT (null `context`; `threads` or `max_isa` out of range; an
 * unknown OCTAVO_MAX_ISA), OCT_VERSION_MISMATCH, OCT_UNSUPPORTED_CPU, OCT_OUT_OF_MEMORY.
 * The caller owns *context and ends it with oct_context_destroy. */
OCT_API oct_status oct_context_create(const oct_context_desc *desc, oct_context **context);

/* Ends a context. Its plans must have been destroyed. NULL is ignored. */
OCT_API void oct_context_destroy(oct_context *context);

/* Describes the machine and the kernels as JSON: {"version", "cpu", "cores", "caches",
 * "threads", "cap", "isas": [{"name", "usable", "reason"}], "kernels": [{"name", "isa",
 * "mr", "nr", "kr", "usable"}]}.
 * `context` may be NULL: the machine without a cap, also on a CPU that has no usable ISA.
 * Writes at most `size` bytes including the terminating zero to `buffer` (NULL when size
 * is 0), and to *needed, unless NULL, the size that holds all. A text that does not fit is
 * OCT_INVALID_ARGUMENT, except with size 0, which only asks. */
OCT_API oct_status oct_describe(const oct_context *context, char *buffer, size_t size,
                                size_t *needed);

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
  OCT_QGEMM_CLAMP = 4
};

/* C[M,N] = epilogue(A[M,K] . B[K,N]).
 *
 *   T[m,n] = sum over k of (A[m,k] - a_zero_point) * B[k,n]           exact, int32
 *   bias s32 or none, C u8/s8:
 *     C = rne(clamp(float(T + bias[n]) * mult[n])) + c_zero_point
 *     mult[n] = fl(fl(a_scale * b_scales[n]) / c_scale)
 *   otherwise, in binary32, each operation rounded once:
 *     y = float(T + bias_s32[n]) * fl(a_scale * b_scales[n]) + bias_f32[n], then RELU or
 *     CLAMP, then stored as f32, rounded to bf16, or for u8/s8
 *     C = rne(clamp(y * fl(1 / c_scale))) + c_zero_point
 *   C s32: C = T + bias_s32[n], scales unused (f32 bias, RELU, CLAMP refused).
 * rne rounds to nearest, ties to even; clamp keeps the result within the type's range,
 * narrowed by RELU and CLAMP (whose bounds are quantised as clamp(rne(x / c_scale) +
 * c_zero_point)). */
typedef struct oct_qgemm_desc {
  size_t struct_size;
  int64_t n, k;   /* 1 .. 2^31 - 1 each */
  uint32_t flags; /* OCT_QGEMM_* */

  oct_dtype a_type;       /* OCT_U8 or OCT_S8 */
  int32_t a_zero_point;   /* within a_type's range */
  float a_scale;          /* finite, positive, normal; as every scale here */
  int32_t a_min, a_max;   /* a promise: every A[m,k] lies in [a_min, a_max]. Both 0: the whole
                             range of a_type. A range of at most 128 values lets cheaper exact
                             kernels run. Data outside breaks exactness, never memory safety. */

  const int8_t *b;        /* read during creation only */
  oct_b_layout b_layout;
  int64_t b_stride_bytes; /* 0: dense */
  const float *b_scales;  /* 1 (per-tensor) or n (per-channel) scales; may be NULL for s32 C */
  int64_t b_scale_count;  /* 1 or n */

  oct_dtype bias_type;    /* OCT_NONE, OCT_S32 (scale a_scale * b_scales[n]) or OCT_F32 */
  const void *bias;       /* n values; NULL exactly when bias_type is OCT_NONE */

  oct_dtype c_type;       /* OCT_S32, OCT_F32, OCT_BF16, OCT_U8 or OCT_S8 */
  float c_scale;          /* u8/s8 only */
  int32_t c_zero_point;   /* u8/s8 only; within c_type's range */
  float clamp_min, clamp_max; /* with OCT_QGEMM_CLAMP: clamp_min <= clamp_max, not NaN */

  int64_t m_hint;         /* the usual number of rows, 0 if unknown: ranks kernels, no limit */
  const char *kernel;     /* NULL, or the name of the kernel to use (see oct_describe) */
} oct_qgemm_desc;

#define OCT_QGEMM_DESC_INIT                                                                  \
  {sizeof(oct_qgemm_desc), 0, 0, 0, OCT_U8, 0, 1.0f, 0, 0, NULL, OCT_B_KN, 0, NULL, 0,       \
   OCT_NONE, NULL, OCT_U8, 1.0f, 0, 0.0f, 0.0f, 0, NULL}

/* An immutable plan: packed weights, epilogue parameters, machine code. Any number of threads
 * may run one plan at the same time. */
typedef struct oct_qgemm oct_qgemm;

/* Creates a plan: checks `desc`, selects kernels, finds or generates their code, packs B. The
 * caller's arrays are not referenced afterwards.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH, OCT_UNSUPPORTED (the forced kernel cannot
 * do this problem, with the reason), OCT_OUT_OF_MEMORY, OCT_INTERNAL. K beyond the bound at
 * which T may leave int32 (for u8 A: 65793) is OCT_INVALID_ARGUMENT without ALLOW_WRAP.
 * The caller owns *plan and ends it with oct_qgemm_destroy. Thread-safe. */
OCT_API oct_status oct_qgemm_create(oct_context *context, const oct_qgemm_desc *desc,
                                    oct_qgemm **plan);

/* Ends a plan that no thread is running. NULL is ignored. */
OCT_API void oct_qgemm_destroy(oct_qgemm *plan);

typedef struct oct_qgemm_args {
  size_t struct_size;
  int64_t m;              /* rows of A and C; 0 is legal and does nothing */
  const void *a;          /* M x K; only these bytes are read */
  int64_t a_stride_bytes; /* >= K */
  void *c;                /* M x N, aligned to its element; only these elements are written */
  int64_t c_stride_bytes; /* >= N * element size, and a multiple of it */
} oct_qgemm_args;

#define OCT_QGEMM_ARGS_INIT {sizeof(oct_qgemm_args), 0, NULL, 0, NULL, 0}

/* Runs a plan: writes all of C, reads all of A. C must not overlap A. Allocates nothing, takes
 * no lock; uses up to the context's threads. Uses at most 96 KiB of stack in each thread.
 * Errors: OCT_INVALID_ARGUMENT, OCT_VERSION_MISMATCH. Thread-safe. */
OCT_API oct_status oct_qgemm_run(const oct_qgemm *plan, const oct_qgemm_args *args);

/* Why the plan computes as it does, for `m` rows, as JSON: {"op", "problem", "kernel", "isa",
 * "blocking", "threads", "predicted_cycles", "candidates": [{"kernel", "predicted_cycles",
 * "chosen", "rejected"}]}: predictions are for one core; "rejected" is the reason, or null. Buffer rules as in oct_describe. */
OCT_API oct_status oct_qgemm_explain(const oct_qgemm *plan, int64_t m, char *buffer, size_t size,
                                     size_t *needed);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* OCTAVO_OCTAVO_H_ */
