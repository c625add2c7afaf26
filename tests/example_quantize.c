/* From a floating-point layer and calibration data to an int8 layer, and how far it is from the
 * original: with the public API alone. Then the same layer with activations quantised on the fly,
 * which needs no calibration. */
#include <math.h>
#include <octavo/octavo.h>
#include <stdio.h>
#include <stdlib.h>

enum { kRows = 32, kIn = 192, kOut = 80, kBatches = 8 };

static float x[kRows][kIn], weights[kOut][kIn], bias[kOut];
static float exact[kRows][kOut], y[kRows][kOut];

static void check(oct_status status) {
  if (status == OCT_OK) return;
  fprintf(stderr, "%s: %s\n", oct_status_name(status), oct_last_error());
  exit(1);
}

/* Numbers in [-1, 1], not uniform, the same everywhere. */
static float draw(void) {
  static uint32_t state = 1;
  float sum = 0;
  for (int i = 0; i < 4; ++i) {
    state = state * 1664525u + 1013904223u;
    sum += (float)(state >> 8) / 16777216.0f - 0.5f;
  }
  return sum / 2;
}

static void draw_layer(void) {
  for (int n = 0; n < kOut; ++n) {
    const float size = 0.05f + 0.01f * (float)(n % 10); /* channels differ in magnitude */
    for (int k = 0; k < kIn; ++k) weights[n][k] = size * draw();
    bias[n] = draw();
  }
}

static void draw_batch(void) {
  for (int m = 0; m < kRows; ++m)
    for (int k = 0; k < kIn; ++k) x[m][k] = 1.5f * draw() + 0.5f;
}

static void layer_in_floats(void) {
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kOut; ++n) {
      double sum = bias[n];
      for (int k = 0; k < kIn; ++k) sum += (double)x[m][k] * weights[n][k];
      exact[m][n] = (float)sum;
    }
}

/* The signal-to-quantisation-noise ratio of y, in decibels. */
static double sqnr(void) {
  double signal = 0, noise = 0;
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kOut; ++n) {
      signal += (double)exact[m][n] * exact[m][n];
      noise += ((double)y[m][n] - exact[m][n]) * ((double)y[m][n] - exact[m][n]);
    }
  return 10 * log10(signal / noise);
}

/* The range of the activations over some batches. */
static void calibrate(float *scale, int32_t *zero_point) {
  oct_observer_desc desc = OCT_OBSERVER_DESC_INIT; /* min-max; affine u8 */
  oct_observer *observer = NULL;
  oct_f32_view view = OCT_F32_VIEW_INIT;
  check(oct_observer_create(&desc, &observer));
  view.data = &x[0][0];
  view.rank = 2;
  view.sizes[0] = kRows;
  view.sizes[1] = kIn;
  for (int i = 0; i < kBatches; ++i) {
    draw_batch();
    check(oct_observer_observe(observer, &view));
  }
  check(oct_observer_qparams(observer, scale, zero_point, 1));
  oct_observer_destroy(observer);
}

int main(void) {
  oct_context *context = NULL;
  check(oct_context_create(NULL, &context));
  draw_layer();

  float a_scale;
  int32_t a_zero_point;
  calibrate(&a_scale, &a_zero_point);

  /* Weights: symmetric s8, a scale for each output channel. */
  static int8_t q_weights[kOut][kIn];
  static float w_scales[kOut];
  oct_weights_desc w = OCT_WEIGHTS_DESC_INIT;
  w.form = OCT_QUANTIZE_DIVIDE;
  w.weights = &weights[0][0];
  w.channels = kOut;
  w.inner = kIn;
  check(oct_quantize_weights(&w, q_weights, w_scales, NULL));

  oct_qgemm *plan = NULL, *dynamic_plan = NULL;
  oct_qgemm_desc desc = OCT_QGEMM_DESC_INIT;
  desc.n = kOut;
  desc.k = kIn;
  desc.a_scale = a_scale;
  desc.a_zero_point = a_zero_point;
  desc.b = q_weights;
  desc.b_layout = OCT_B_NK;
  desc.b_scales = w_scales;
  desc.b_scale_count = kOut;
  desc.bias_type = OCT_F32;
  desc.bias = bias;
  desc.c_type = OCT_F32;
  check(oct_qgemm_create(context, &desc, &plan));

  oct_dynamic dynamic = OCT_DYNAMIC_INIT; /* per row; affine u8 */
  dynamic.formula = OCT_QPARAMS_ATEN;
  dynamic.form = OCT_QUANTIZE_RECIPROCAL;
  desc.a_type = OCT_F32;
  desc.dynamic = &dynamic;
  check(oct_qgemm_create(context, &desc, &dynamic_plan));

  /* New data: quantise, multiply, compare. */
  static uint8_t q_x[kRows][kIn];
  draw_batch();
  layer_in_floats();
  oct_quantize_args quantize = OCT_QUANTIZE_ARGS_INIT;
  quantize.rows = kRows;
  quantize.cols = kIn;
  quantize.x.data = x;
  quantize.q.data = q_x;
  quantize.form = OCT_QUANTIZE_DIVIDE;
  quantize.scales = &a_scale;
  quantize.zero_points = &a_zero_point;
  check(oct_quantize(context, &quantize));

  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = kRows;
  args.a = q_x;
  args.a_stride_bytes = kIn;
  args.c = y;
  args.c_stride_bytes = kOut * (int64_t)sizeof(float);
  check(oct_qgemm_run(plan, &args));
  const double static_sqnr = sqnr();

  args.a = x;
  args.a_stride_bytes = kIn * (int64_t)sizeof(float);
  check(oct_qgemm_run(dynamic_plan, &args));
  const double dynamic_sqnr = sqnr();

  printf("activations: scale %g, zero point %d\n", (double)a_scale, (int)a_zero_point);
  printf("int8 against f32: %.1f dB calibrated, %.1f dB dynamic\n", static_sqnr, dynamic_sqnr);
  oct_qgemm_destroy(plan);
  oct_qgemm_destroy(dynamic_plan);
  oct_context_destroy(context);
  return static_sqnr > 35 && dynamic_sqnr > 35 ? 0 : 1;
}
