#include "awq/backend/cuda/gemm_table.h"

#include <gtest/gtest.h>

#include <string>

namespace awq::cuda {
namespace {

// sm_90 asks its driver what fits, so it is not among these.
const DeviceLimits kOthers[] = {{75, 40, 64 << 10},  {80, 108, 163 << 10},  {86, 82, 99 << 10},
                                {89, 128, 99 << 10}, {100, 148, 227 << 10}, {120, 170, 99 << 10}};

LinearQ4 Problem(int64_t m, int64_t n, int64_t k, DType act, int group) {
  return {.shape = {.n = n, .k = k, .group = group, .has_zeros = true},
          .m = m,
          .act = act,
          .out = act,
          .x_stride = k,
          .y_stride = n};
}

std::string NameFor(const LinearQ4& p, const DeviceLimits& device) {
  const GemmRow* row = FindGemm(p, device);
  return row == nullptr ? "none" : std::string(row->name.substr(0, 6));
}

TEST(GemmTable, StagesManyRowsWithoutWgmma) {
  for (const DeviceLimits& device : kOthers) {
    for (const int group : {32, 64, 128, 4096}) {
      for (const int64_t m : {1, 8, 16}) {
        EXPECT_EQ(NameFor(Problem(m, 4096, 4096, DType::kF16, group), device), "direct");
      }
      for (const int64_t m : {17, 64, 500, 100000}) {
        EXPECT_EQ(NameFor(Problem(m, 4096, 4096, DType::kF16, group), device),
                  device.arch == 75 ? "direct" : "staged")
            << device.arch << " " << m << " " << group;
      }
    }
  }
}

TEST(GemmTable, WantsMemoryForTilesInParts) {
  const auto bytes = [](int64_t m) {
    const LinearQ4 p = Problem(m, 4096, 4096, DType::kF16, 128);
    return FindGemm(p, kOthers[1])->workspace(p, kOthers[1]);
  };
  EXPECT_GT(bytes(17), 0);
  EXPECT_EQ(bytes(4096), 0);
}

TEST(GemmTable, HasOneKernelForAllRowsWhereSumsMustBeTheSame) {
  for (const DeviceLimits& device : kOthers) {
    for (const int64_t m : {1, 20, 700}) {
      LinearQ4 p = Problem(m, 4096, 4096, DType::kF16, 128);
      p.same_sums = true;
      EXPECT_EQ(NameFor(p, device), "direct") << device.arch << " " << m;
    }
  }
}

TEST(GemmTable, LeavesToOthersWhatItCannot) {
  EXPECT_EQ(NameFor(Problem(64, 4096, 4096, DType::kBF16, 128), kOthers[0]), "none");  // sm_75
  EXPECT_EQ(NameFor(Problem(64, 4096, 4096, DType::kBF16, 128), kOthers[1]), "staged");
  EXPECT_EQ(NameFor(Problem(64, 4096, 4100, DType::kF16, 128), kOthers[1]), "none");  // K
}

}  // namespace
}  // namespace awq::cuda
