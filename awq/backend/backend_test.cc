// Every instruction set of the CPU backend against ref, on the conformance cases.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "awq/backend/cpu/cpu_backend.h"
#include "awq/backend/make_backend.h"
#include "awq/ops/conformance.h"
#include "hwy/highway.h"
#include "hwy/targets.h"

namespace awq {
namespace {

using Param = std::tuple<int64_t, DType, std::string>;  // target, activations, op

void UseTargets(int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

class CpuConformance : public testing::TestWithParam<Param> {
 protected:
  void SetUp() override { UseTargets(std::get<0>(GetParam())); }
  void TearDown() override { UseTargets(0); }
};

class CpuRows : public testing::TestWithParam<std::tuple<int64_t, DType>> {
 protected:
  void SetUp() override { UseTargets(std::get<0>(GetParam())); }
  void TearDown() override { UseTargets(0); }
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
  for (const OpCase& c : ConformanceCases(DType::kF32))
    ops.insert(c.name.substr(0, c.name.find('/')));
  return {ops.begin(), ops.end()};
}

// Those of this machine, and the one compiled without any.
std::vector<int64_t> Targets() {
  std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  if (std::find(targets.begin(), targets.end(), HWY_STATIC_TARGET) == targets.end()) {
    targets.push_back(HWY_STATIC_TARGET);
  }
  return targets;
}

INSTANTIATE_TEST_SUITE_P(Targets, CpuConformance,
                         testing::Combine(testing::ValuesIn(Targets()),
                                          testing::Values(DType::kF32, DType::kBF16, DType::kF16),
                                          testing::ValuesIn(Ops())),
                         [](const testing::TestParamInfo<Param>& info) {
                           return Cat(hwy::TargetName(std::get<0>(info.param)), "_",
                                      NameOf(std::get<1>(info.param)), "_",
                                      std::get<2>(info.param));
                         });

TEST_P(CpuRows, AreTheSameAloneWhereDeterministic) {
  const auto cpu = MakeBackend("cpu", 3, true);
  for (const RowCase& c : RowCases(std::get<1>(GetParam()))) {
    EXPECT_EQ(CountRowDifferences(*cpu, c), 0) << c.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, CpuRows,
                         testing::Combine(testing::ValuesIn(Targets()),
                                          testing::Values(DType::kF32, DType::kBF16, DType::kF16)),
                         [](const testing::TestParamInfo<CpuRows::ParamType>& info) {
                           return Cat(hwy::TargetName(std::get<0>(info.param)), "_",
                                      NameOf(std::get<1>(info.param)));
                         });

// The targets above use tiles where the processor has them and the target is its best.
TEST(CpuBackendTest, AnswersAsRefWithoutTiles) {
  const auto ref = MakeBackend("ref");
  cpu::CpuBackend cpu(3, false, false);
  for (const OpCase& c : ConformanceCases(DType::kF32)) {
    EXPECT_LE(RunConformance(cpu, *ref, c), c.tolerance) << c.name;
  }
}

TEST(CpuBackendTest, RowsAreNotAllTheSameAlone) {
  const auto cpu = MakeBackend("cpu", 3);
  int64_t differences = 0;
  for (const RowCase& c : RowCases(DType::kF32)) differences += CountRowDifferences(*cpu, c);
  EXPECT_GT(differences, 0);
}

TEST(RefBackendTest, RowsAreTheSameAlone) {
  const auto ref = MakeBackend("ref");
  for (const RowCase& c : RowCases(DType::kF32)) {
    EXPECT_EQ(CountRowDifferences(*ref, c), 0) << c.name;
  }
}

TEST(CpuBackendTest, LetsNansAndInfinitiesThrough) {
  const auto cpu = MakeBackend("cpu", 1);
  const QuantizedWeight w = MakeQuantizedWeight({.bits = 4, .group = 32}, 3, 64, DType::kF32);
  std::fill_n(w.scales.As<float>(), 6, 1.0f);
  const auto packed = cpu->PrepareQuantized(w);
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (int64_t m : {1, 20}) {
      const Tensor x = MakeTensor(DType::kF32, {m, 64});
      const Tensor y = MakeTensor(DType::kF32, {m, 3});
      x.As<float>()[37] = bad;
      cpu->Linear(*packed, x.view(), {}, y.view());
      EXPECT_FALSE(std::isfinite(y.As<float>()[0])) << m;
      if (m > 1) {
        EXPECT_EQ(y.As<float>()[3], 0);
      }
    }
  }
}

TEST(CpuBackendTest, MassiveActivationsKeepTheirNeighbours) {
  // One channel a thousand times the others, as at the first token of many models.
  const auto cpu = MakeBackend("cpu", 1);
  const auto ref = MakeBackend("ref");
  QuantizedWeight w = MakeQuantizedWeight({.bits = 4, .group = 128}, 1, 128, DType::kF32);
  w.scales.As<float>()[0] = 1.0f;
  for (int64_t k = 1; k < 128; ++k) SetCode(w, 0, k, static_cast<int>(k * 7 % 16));
  const Tensor x = MakeTensor(DType::kF32, {1, 128});
  for (int64_t k = 0; k < 128; ++k)
    x.As<float>()[k] = k == 0 ? 1000.0f : std::sin(static_cast<float>(k));
  const Tensor y = MakeTensor(DType::kF32, {1, 1});
  const Tensor expected = MakeTensor(DType::kF32, {1, 1});
  cpu->Linear(*cpu->PrepareQuantized(w), x.view(), {}, y.view());
  ref->Linear(*ref->PrepareQuantized(w), x.view(), {}, expected.view());
  // The large channel meets a code of zero: what remains is the rounding of the small ones.
  EXPECT_NEAR(y.As<float>()[0], expected.As<float>()[0], 0.01f * 8 * std::sqrt(128.0f));
}

TEST(CpuBackendTest, RefusesGroupsItCannotDo) {
  const auto cpu = MakeBackend("cpu", 1);
  const QuantizedWeight w = MakeQuantizedWeight({.bits = 4, .group = 12}, 4, 48, DType::kF16);
  try {
    cpu->PrepareQuantized(w);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnsupported);
  }
}

TEST(CpuBackendTest, ChecksShapesAndTokens) {
  const auto cpu = MakeBackend("cpu", 1);
  const Tensor table = MakeTensor(DType::kF16, {4, 8});
  const Tensor y = MakeTensor(DType::kF32, {1, 8});
  const Tensor token = MakeTensor(DType::kI32, {1});
  token.As<int32_t>()[0] = 4;
  EXPECT_THROW(cpu->Embed(token.view(), table.view(), y.view()), Error);
  EXPECT_THROW(cpu->Add(y.view(), table.view()), Error);
  const Tensor ones = MakeTensor(DType::kF32, {8});
  const Tensor x = MakeTensor(DType::kF32, {1, 8});
  const PostNorm post{{}, ones.view(), {}};
  const PostNorm narrow{{}, ones.view().Rows(0, 7), {}};
  cpu->NormAddNorm(post, {}, y.view(), x.view(), ones.view(), {}, x.view());
  EXPECT_THROW(cpu->NormAddNorm(narrow, {}, y.view(), x.view(), ones.view(), {}, x.view()), Error);
}

TEST(NormalizedErrorTest, SeesSizesAndNonsense) {
  EXPECT_EQ(NormalizedError({1, 2}, {1, 2}), 0);
  EXPECT_DOUBLE_EQ(NormalizedError({1, 3}, {1, 2}), 0.2);
  EXPECT_TRUE(std::isinf(NormalizedError({1}, {1, 2})));
  EXPECT_TRUE(std::isinf(NormalizedError({1, NAN}, {1, 2})));
}

TEST(MakeBackendTest, NamesWhatExists) {
  EXPECT_EQ(MakeBackend("auto", 1)->Info().name.empty(), false);
  EXPECT_EQ(MakeBackend("cpu", 1)->Info().threads, 1);
  EXPECT_TRUE(
      cpu::CpuBackend(1, false, true, " (a note)").Info().device.ends_with("1 thread (a note)"));
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
