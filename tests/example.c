/* A complete use of octavo: one linear layer, y = relu(x . W + bias), in 8 bits.
 *
 * Float values are quantised the usual way (real = scale * (q - zero_point)), the layer is computed
 * by octavo, and the result is compared with the same computation in double.
 *
 * cc example.c -loctavo
 */
#include <octavo/octavo.h>

#include <stdint.h>
#include <stdio.h>

enum { kRows = 5, kInputs = 64, kOutputs = 10 };

static int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, oct_last_error());
  return 1;
}

/* What octavo is to compute for one element, before rounding, in units of the output scale. */
static double expected(const uint8_t *x_row, const int8_t *weights, int n, double bias,
                       const oct_qgemm_desc *desc) {
  double sum = 0;
  int k;
  for (k = 0; k < kInputs; ++k)
    sum += (double)(x_row[k] - desc->a_zero_point) * weights[k * kOutputs + n];
  sum = (sum + bias) * desc->a_scale * desc->b_scales[n] / desc->c_scale;
  return sum > 0 ? sum : 0;
}

int main(void) {
  /* Activations x: five rows of 64, u8 with zero point 128. Weights: 64 x 10, s8, one scale for each
   * output. The bias is in units of a_scale * b_scales[n], as is customary. */
  uint8_t x[kRows][kInputs];
  int8_t weights[kInputs * kOutputs];
  float weight_scales[kOutputs];
  int32_t bias[kOutputs];
  uint8_t y[kRows][kOutputs];

  oct_context *context = NULL;
  oct_qgemm *layer = NULL;
  oct_qgemm_desc desc = OCT_QGEMM_DESC_INIT;
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  int m, n, k, wrong = 0;

  for (m = 0; m < kRows; ++m)
    for (k = 0; k < kInputs; ++k) x[m][k] = (uint8_t)(m * 37 + k * 29);
  for (k = 0; k < kInputs * kOutputs; ++k) weights[k] = (int8_t)(k * 53 % 255 - 127);
  for (n = 0; n < kOutputs; ++n) {
    weight_scales[n] = 0.002f + 0.0001f * (float)n;
    bias[n] = 1000 * n - 2000;
  }

  /* One context for the process; NULL asks for the defaults: every instruction set, one thread. */
  if (oct_context_create(NULL, &context) != OCT_OK) return failed("oct_context_create");

  /* A plan for the layer. Everything that stays the same between calls goes here; the weights are
   * packed now, and need not be kept. */
  desc.n = kOutputs;
  desc.k = kInputs;
  desc.flags = OCT_QGEMM_RELU;
  desc.a_type = OCT_U8;
  desc.a_zero_point = 128;
  desc.a_scale = 0.05f;
  desc.b = weights;
  desc.b_layout = OCT_B_KN;
  desc.b_scales = weight_scales;
  desc.b_scale_count = kOutputs;
  desc.bias_type = OCT_S32;
  desc.bias = bias;
  desc.c_type = OCT_U8;
  desc.c_scale = 0.1f;
  desc.c_zero_point = 3;
  if (oct_qgemm_create(context, &desc, &layer) != OCT_OK) {
    oct_context_destroy(context);
    return failed("oct_qgemm_create");
  }

  /* Run it, any number of times, with any number of rows. */
  args.m = kRows;
  args.a = x;
  args.a_stride_bytes = sizeof x[0];
  args.c = y;
  args.c_stride_bytes = sizeof y[0];
  if (oct_qgemm_run(layer, &args) != OCT_OK) wrong = failed("oct_qgemm_run");

  /* Rounding makes up to half a unit of difference, binary32 a little more. */
  for (m = 0; m < kRows && !wrong; ++m)
    for (n = 0; n < kOutputs; ++n) {
      double want = expected(x[m], weights, n, bias[n], &desc) + desc.c_zero_point;
      double difference;
      if (want > 255) want = 255;
      difference = y[m][n] - want;
      if (difference > 0.501 || difference < -0.501) {
        fprintf(stderr, "y[%d][%d] is %d, expected %f\n", m, n, y[m][n], want);
        wrong = 1;
      }
    }

  /* Plans first, then their context. */
  oct_qgemm_destroy(layer);
  oct_context_destroy(context);
  if (!wrong) printf("octavo %s: %d x %d outputs are right\n", oct_version(), kRows, kOutputs);
  return wrong;
}
