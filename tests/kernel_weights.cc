#include "tests/kernel_weights.h"

#include <cstring>
#include <utility>

namespace oct::test {

KernelWeights::KernelWeights(const KernelRow& row, const KernelCase& c, const KernelRuns& runs,
                             Rng& rng, const GuardBuffer& plain)
    : row_(row), c_(c), runs_(runs), rng_(rng), fill_(rng.pick(kFills)) {
  const bool kn = rng.one_in(2);
  const int64_t k = runs.all_bytes(), width = kn ? c.n : k, height = kn ? k : c.n;
  const int64_t stride = width + rng.between(0, kMaxStridePad);
  const auto size = static_cast<size_t>((height - 1) * stride + width);
  data_ = reinterpret_cast<int8_t*>(plain.place(either_end(rng), size));
  k_step_ = kn ? stride : 1;
  n_step_ = kn ? 1 : stride;
  view_ = {data_,  kn ? BLayout::kKN : BLayout::kNK,
           stride, k,
           c.n,    stays_unsigned() || (c.affine && rng.one_in(2))};
  std::memset(data_, 0, size);
  for (int t = 0; t < runs.count(); ++t) draw_run(t);
}

WeightPair KernelWeights::draw_pair(int64_t k) {
  if (c_.input.safe_weights) return safe_pair(rng_, fill_);
  const int w0 = fill_value(rng_, fill_, -128, 127, k);
  const int w1 = fill_value(rng_, fill_, -128, 127, k + 1);
  return {static_cast<int8_t>(w0), static_cast<int8_t>(w1)};
}

void KernelWeights::draw_run(int run) {
  const int flip = view_.is_unsigned ? -128 : 0;  // drawn as s8
  for (int n = 0; n < c_.n; ++n)
    for (int64_t k = 0; k < c_.k; k += 2) {
      const WeightPair pair = draw_pair(k);
      *at(run, n, k) = static_cast<int8_t>(pair.w0 ^ flip);
      if (k + 1 < c_.k) *at(run, n, k + 1) = static_cast<int8_t>(pair.w1 ^ flip);
    }
  if (c_.input.mixed_weights) mix_groups(run);
}

// Safe pairs (0 1)(2 3) of a group become (0 2)(1 3), (0 3)(1 2), or whatever chance gives.
void KernelWeights::mix_groups(int run) {
  for (int64_t g = 0; g + kKr <= c_.k; g += kKr) {
    const int64_t kind = rng_.between(0, 3);
    for (int n = 0; n < c_.n; ++n) {
      int8_t& second = *at(run, n, g + 1);
      if (kind == 1 || kind == 2) std::swap(second, *at(run, n, g + kind + 1));
      if (kind == 3) second = static_cast<int8_t>(rng_.between(-128, 127));
    }
  }
}

void KernelWeights::pack(const GuardBuffer& to) {
  sums_.resize(static_cast<size_t>(runs_.count() * c_.n));
  c_.shared ? pack_shared(to) : pack_runs(to);
}

// Each run by itself, and of block-diagonal weights the blocks.
void KernelWeights::pack_runs(const GuardBuffer& to) {
  const size_t bytes = packed_b_bytes(row_, c_.k, c_.n);
  packed_ = to.place(either_end(rng_), bytes * static_cast<size_t>(runs_.count()), 64);
  std::vector<int8_t> blocks(static_cast<size_t>(c_.n * c_.k));
  for (int t = 0; t < runs_.count(); ++t) {
    BView run = view_;
    run.k = c_.k;
    run.data = at(t, 0, 0);
    if (c_.group_out) {
      for (int n = 0; n < c_.n; ++n)
        for (int64_t k = 0; k < c_.k; ++k) blocks[static_cast<size_t>(n * c_.k + k)] = *at(t, n, k);
      run.data = blocks.data();
      run.layout = BLayout::kNK;
      run.stride_bytes = c_.k;
    }
    pack_b_panel(row_, run, 0, c_.n, packed_ + static_cast<size_t>(t) * bytes,
                 sums_.data() + t * c_.n);
  }
}

// All as one run: whole groups of every tap, then what is left of each, filled up with zeros.
void KernelWeights::pack_shared(const GuardBuffer& to) {
  const int64_t whole = c_.k / kKr * kKr, tail = c_.k - whole, count = runs_.count();
  const int64_t k_all = count * whole + (count * tail + kKr - 1) / kKr * kKr;
  std::vector<int8_t> ordered(static_cast<size_t>(c_.n * k_all));
  for (int n = 0; n < c_.n; ++n)
    for (int t = 0; t < runs_.count(); ++t)
      for (int64_t k = 0; k < c_.k; ++k) {
        const int64_t place = k < whole ? t * whole + k : count * whole + t * tail + k - whole;
        ordered[static_cast<size_t>(n * k_all + place)] =
            static_cast<int8_t>(*at(t, n, k) ^ -shift());
      }
  packed_ = to.place(either_end(rng_), packed_b_bytes(row_, k_all, c_.n), 64);
  pack_b_panel(row_, {ordered.data(), BLayout::kNK, k_all, k_all, c_.n, stays_unsigned()}, 0, c_.n,
               packed_, sums_.data());
}

ColumnSums KernelWeights::sums_of(int row, int n) const {
  uint32_t sum = 0, product = 0;
  for (int t = 0; t < runs_.count(); ++t)
    if (runs_.sees(row, t)) {
      const ColumnSums& of_run = sums_[static_cast<size_t>(t * c_.n + n)];
      sum += static_cast<uint32_t>(of_run.sum);
      product += static_cast<uint32_t>(of_run.product);
    }
  return {static_cast<int32_t>(sum), static_cast<int32_t>(product)};
}

}  // namespace oct::test
