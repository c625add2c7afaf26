// B of one kernel case: what the reference sees, the packed panel, and the sums of its columns.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/pack.h"
#include "tests/guard_buffer.h"
#include "tests/kernel_runs.h"
#include "tests/operands.h"

namespace oct::test {

inline constexpr int kMaxStridePad = 64;  // of A, B and C, in bytes

class KernelWeights {
 public:
  // Draws B into `plain`, which is dense: where block-diagonal B has no weights, it is zero.
  KernelWeights(const KernelRow& row, const KernelCase& c, const KernelRuns& runs, Rng& rng,
                const GuardBuffer& plain);
  // Packs it, run after run unless they share K groups.
  void pack(const GuardBuffer& to);

  const BView& view() const { return view_; }
  Fill fill() const { return fill_; }
  uint8_t* packed() const { return packed_; }
  // Of all weights of column n that a row of A sees.
  ColumnSums sums_of(int row, int n) const;
  // What is taken from every weight before it is packed.
  int shift() const { return view_.is_unsigned && !stays_unsigned() ? 128 : 0; }

 private:
  bool stays_unsigned() const { return row_.flags & kRowUnsignedB; }
  // The part of column n of a run from byte k on.
  int8_t* at(int run, int n, int64_t k) const {
    return data_ + (run * runs_.bytes() + runs_.first_byte(n) + k) * k_step_ + n * n_step_;
  }
  WeightPair draw_pair(int64_t k);
  void draw_run(int run);
  void mix_groups(int run);
  void pack_runs(const GuardBuffer& to);
  void pack_shared(const GuardBuffer& to);

  const KernelRow& row_;
  const KernelCase& c_;
  const KernelRuns& runs_;
  Rng& rng_;
  Fill fill_;
  int8_t* data_;
  int64_t k_step_, n_step_;
  BView view_;
  uint8_t* packed_ = nullptr;
  std::vector<ColumnSums> sums_;  // [run][column]
};

}  // namespace oct::test
