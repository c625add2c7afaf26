// For tests of the quantisation layer's C API: owners, descriptions, refusals.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/octavo.h"

namespace oct::test {

// An observer for a scope. Fails the test, and holds null, if it cannot be created.
class ApiObserver {
 public:
  explicit ApiObserver(const oct_observer_desc& desc) {
    EXPECT_EQ(oct_observer_create(&desc, &observer_), OCT_OK) << oct_last_error();
  }
  ~ApiObserver() { oct_observer_destroy(observer_); }
  ApiObserver(const ApiObserver&) = delete;
  ApiObserver& operator=(const ApiObserver&) = delete;
  operator oct_observer*() const { return observer_; }

 private:
  oct_observer* observer_ = nullptr;
};

inline oct_f32_view view_of(const std::vector<float>& data, const std::vector<int64_t>& sizes) {
  oct_f32_view view = OCT_F32_VIEW_INIT;
  view.data = data.data();
  view.rank = static_cast<int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), view.sizes);
  return view;
}

inline oct_observer_desc desc_of(oct_observer_kind kind) {
  oct_observer_desc desc = OCT_OBSERVER_DESC_INIT;
  desc.kind = kind;
  return desc;
}

// A call of the C API must have failed with `status` and a message that contains `mention`.
inline void expect_refused(oct_status got, oct_status status, const std::string& mention) {
  EXPECT_EQ(got, status) << mention;
  EXPECT_NE(std::string(oct_last_error()).find(mention), std::string::npos)
      << "\"" << oct_last_error() << "\" does not mention \"" << mention << "\"";
}

}  // namespace oct::test
