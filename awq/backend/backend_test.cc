// Every instruction set of the CPU backend against ref, on the conformance cases.
#include <gtest/gtest.h>

#include <set>

#include "awq/backend/make_backend.h"
#include "awq/ops/conformance.h"
#include "hwy/highway.h"
#include "hwy/targets.h"

namespace awq {
namespace {

using Param = std::tuple<int64_t, DType, std::string>;  // target, activations, op

class CpuConformance : public testing::TestWithParam<Param> {
 protected:
  void SetUp() override { UseTargets(std::get<0>(GetParam())); }
  void TearDown() override { UseTargets(0); }
  static void UseTargets(int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST_P(CpuConformance, AnswersAsRef) {
  const auto& [target, act, op] = GetParam();
  const auto ref = MakeBackend("ref");
  const auto cpu = MakeBackend("cpu", 3);
  ASSERT_EQ(cpu->Info().device, Cat(hwy::TargetName(target), ", 3 threads"));
  for (const OpCase& c : ConformanceCases(act)) {
    if (c.name.substr(0, c.name.find('/')) != op) continue;
    EXPECT_LE(RunConformance(*cpu, *ref, c), c.tolerance) << c.name;
  }
}

std::vector<std::string> Ops() {
  std::set<std::string> ops;
  for (const OpCase& c : ConformanceCases(DType::kF32)) ops.insert(c.name.substr(0, c.name.find('/')));
  return {ops.begin(), ops.end()};
}

INSTANTIATE_TEST_SUITE_P(
    Targets, CpuConformance,
    testing::Combine(testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                     testing::Values(DType::kF32, DType::kBF16, DType::kF16),
                     testing::ValuesIn(Ops())),
    [](const testing::TestParamInfo<Param>& info) {
      return Cat(hwy::TargetName(std::get<0>(info.param)), "_", NameOf(std::get<1>(info.param)), "_",
                 std::get<2>(info.param));
    });

TEST(NormalizedErrorTest, SeesSizesAndNonsense) {
  EXPECT_EQ(NormalizedError({1, 2}, {1, 2}), 0);
  EXPECT_DOUBLE_EQ(NormalizedError({1, 3}, {1, 2}), 0.2);
  EXPECT_TRUE(std::isinf(NormalizedError({1}, {1, 2})));
  EXPECT_TRUE(std::isinf(NormalizedError({1, NAN}, {1, 2})));
}

TEST(MakeBackendTest, NamesWhatExists) {
  EXPECT_EQ(MakeBackend("auto", 1)->Info().name.empty(), false);
  EXPECT_EQ(MakeBackend("cpu", 1)->Info().threads, 1);
  try {
    MakeBackend("gpu");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(e.what()).find("cpu"), std::string::npos);
  }
}

}  // namespace
}  // namespace awq
