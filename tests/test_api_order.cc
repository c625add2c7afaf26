// Of two threads that share rows, both begin where their shares meet. Results do not tell, so the
// tests watch which page of C each task writes first.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tests/api_support.h"
#include "tests/conv_case.h"

namespace oct::test {
namespace {

// Memory whose first write is noted; one at a time.
class WatchedMemory {
 public:
  explicit WatchedMemory(size_t bytes) : bytes_(bytes) {
    void* const p = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) abort();
    data_ = static_cast<uint8_t*>(p);
    watched_ = this;
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &before_);
  }
  ~WatchedMemory() {
    sigaction(SIGSEGV, &before_, nullptr);
    munmap(data_, bytes_);
  }
  WatchedMemory(const WatchedMemory&) = delete;
  WatchedMemory& operator=(const WatchedMemory&) = delete;

  uint8_t* data() const { return data_; }

  // The offset at which f writes first, to the page; -1 if it does not.
  template <class F>
  int64_t first_write(F f) {
    first_ = -1;
    mprotect(data_, bytes_, PROT_READ);
    f();
    return first_;
  }

 private:
  static void on_fault(int number, siginfo_t* info, void*) {
    WatchedMemory& self = *watched_;
    const auto offset =
        reinterpret_cast<uintptr_t>(info->si_addr) - reinterpret_cast<uintptr_t>(self.data_);
    if (offset >= self.bytes_) {  // another fault: it comes again
      sigaction(number, &self.before_, nullptr);
      return;
    }
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    self.first_ = static_cast<int64_t>(offset / page * page);
    mprotect(self.data_, self.bytes_, PROT_READ | PROT_WRITE);
  }

  static WatchedMemory* watched_;
  size_t bytes_;
  uint8_t* data_;
  volatile int64_t first_ = -1;
  struct sigaction before_;
};

WatchedMemory* WatchedMemory::watched_ = nullptr;

// A pool of two threads that runs its tasks one after the other, watched.
struct WatchingPool {
  WatchedMemory* c;
  std::vector<int64_t> first_writes;

  static void parallel_for(void* pool, size_t count, void (*task)(void*, size_t), void* arg) {
    auto& self = *static_cast<WatchingPool*>(pool);
    for (size_t i = 0; i < count; ++i)
      self.first_writes.push_back(self.c->first_write([&] { task(arg, i); }));
  }
};

class ApiOrder : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  // run(context, c) with C of so many bytes, under every cap.
  template <class Run>
  static void expect_to_meet(int64_t c_bytes, Run run) {
    for (oct_isa cap : distinct_caps()) {
      WatchedMemory c(static_cast<size_t>(c_bytes));
      WatchingPool pool{&c, {}};
      oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
      desc.max_isa = cap;
      desc.threads = 2;
      desc.parallel_for = WatchingPool::parallel_for;
      desc.pool = &pool;
      const Context context(desc);
      ASSERT_EQ(run(context, c.data()), OCT_OK) << oct_last_error();
      ASSERT_EQ(pool.first_writes.size(), 2u) << "cap " << cap;
      // Half of C lies between the first rows of the shares.
      EXPECT_NEAR(pool.first_writes[0], c_bytes / 2, c_bytes / 8) << "cap " << cap;
      EXPECT_NEAR(pool.first_writes[1], c_bytes / 2, c_bytes / 8) << "cap " << cap;
    }
  }

  static void expect_convolution_to_meet(int64_t channels, int64_t groups, int64_t kernel) {
    constexpr int64_t kSize = 56;
    const int64_t in = channels / groups, pixels = kSize * kSize;
    const std::vector<int8_t> w(static_cast<size_t>(channels * in * kernel * kernel), 1);
    const std::vector<uint8_t> a(static_cast<size_t>(pixels * channels), 1);
    const float scale = 0.01f;
    oct_qconv_desc desc = OCT_QCONV_DESC_INIT;
    desc.in_channels = desc.out_channels = channels;
    desc.groups = groups;
    for (int i = 0; i < 2; ++i) {
      desc.kernel[i] = kernel;
      desc.pad_begin[i] = desc.pad_end[i] = kernel / 2;
    }
    desc.w = w.data();
    desc.w_scales = &scale;
    desc.w_scale_count = 1;
    expect_to_meet(pixels * channels, [&](oct_context* context, uint8_t* c) {
      const ConvPlan plan(context, desc);
      oct_qconv_args args = OCT_QCONV_ARGS_INIT;
      args.in_size[0] = args.in_size[1] = kSize;
      args.a.data = const_cast<uint8_t*>(a.data());
      args.c.data = c;
      return oct_qconv_run(plan, &args);
    });
  }
};

TEST_F(ApiOrder, SharesOfProductsBeginWhereTheyMeet) {
  constexpr int64_t kRows = 4096, kColumns = 64, kK = 64;
  Rng rng("order");
  const QgemmProblem p = simple_problem(rng, kRows, kColumns, kK);
  expect_to_meet(kRows * kColumns, [&](oct_context* context, uint8_t* c) {
    const Plan plan(context, p.desc);
    oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
    args.m = kRows;
    args.a = p.a.data();
    args.a_stride_bytes = kK;
    args.c = c;
    args.c_stride_bytes = kColumns;
    return oct_qgemm_run(plan, &args);
  });
}

TEST_F(ApiOrder, SharesOfPointwiseConvolutionsBeginWhereTheyMeet) {
  expect_convolution_to_meet(64, 1, 1);
}

TEST_F(ApiOrder, SharesOfConvolutionsBeginWhereTheyMeet) { expect_convolution_to_meet(64, 1, 3); }

TEST_F(ApiOrder, SharesOfDepthwiseConvolutionsBeginWhereTheyMeet) {
  expect_convolution_to_meet(128, 128, 3);
}

}  // namespace
}  // namespace oct::test
