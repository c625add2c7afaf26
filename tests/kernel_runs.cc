#include "tests/kernel_runs.h"

#include <algorithm>

namespace oct::test {

KernelRuns::KernelRuns(const KernelCase& c, Rng& rng)
    : c_(c), clips_(static_cast<size_t>(count())) {
  if (!clips()) return;
  const int64_t most = std::min(c.clip, c.m - 1);
  for (int64_t& clip : clips_)
    if (rng.one_in(2)) clip = rng.between(-most, most);
}

bool KernelRuns::sees(int row, int run) const {
  const int64_t clip = clips_[static_cast<size_t>(run)];
  return clip >= 0 ? row >= clip : row < c_.m * c_.tiles + clip;
}

int64_t KernelRuns::seen_bytes(int row) const {
  int64_t k = 0;
  for (int t = 0; t < count(); ++t) k += sees(row, t) ? bytes() : 0;
  return k;
}

std::vector<Tap> KernelRuns::taps(int64_t a_bytes, int64_t b_bytes, Rng& rng) const {
  std::vector<Tap> taps;
  for (int t = 0; t < c_.taps; ++t)
    taps.insert(taps.begin() + (c_.shared ? t : rng.between(0, t)),
                {t * a_bytes, t * b_bytes, clips_[static_cast<size_t>(t)]});
  return taps;
}

}  // namespace oct::test
