// The CUDA backend against ref on the conformance cases; skipped where no GPU answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "awq/backend/cuda/device_limits.h"
#include "awq/backend/make_backend.h"
#include "awq/ops/conformance.h"
#include "awq/ops/profiler.h"

namespace awq {
namespace {

std::unique_ptr<Backend> TryCuda(bool deterministic = false) {
  try {
    return MakeBackend("cuda", 0, deterministic);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kDevice) throw;
    return nullptr;
  }
}

using Param = std::tuple<DType, std::string>;  // activations, op

class CudaConformance : public testing::TestWithParam<Param> {
 protected:
  static void ExpectAnswersOfRef(Backend* cuda) {
    if (cuda == nullptr) GTEST_SKIP() << "no CUDA device";
    const auto& [act, op] = GetParam();
    const auto ref = MakeBackend("ref");
    for (const OpCase& c : ConformanceCases(act)) {
      if (c.name.substr(0, c.name.find('/')) != op) continue;
      EXPECT_LE(RunConformance(*cuda, *ref, c), c.tolerance) << c.name;
    }
  }
};

TEST_P(CudaConformance, AnswersAsRef) { ExpectAnswersOfRef(TryCuda().get()); }

TEST_P(CudaConformance, AnswersAsRefWhereDeterministic) { ExpectAnswersOfRef(TryCuda(true).get()); }

std::vector<std::string> Ops() {
  std::set<std::string> ops;
  for (const OpCase& c : ConformanceCases(DType::kF32))
    ops.insert(c.name.substr(0, c.name.find('/')));
  return {ops.begin(), ops.end()};
}

INSTANTIATE_TEST_SUITE_P(Types, CudaConformance,
                         testing::Combine(testing::Values(DType::kF32, DType::kBF16, DType::kF16),
                                          testing::ValuesIn(Ops())),
                         [](const testing::TestParamInfo<Param>& info) {
                           return Cat(NameOf(std::get<0>(info.param)), "_",
                                      std::get<1>(info.param));
                         });

// So that the cases of it do not test calls one by one.
TEST(CudaDecoder, IsOneKernel) {
  const auto cuda = TryCuda();
  if (cuda == nullptr || cuda::ReadDeviceLimits().arch != 90) GTEST_SKIP() << "no GPU of sm_90";
  for (const OpCase& c : ConformanceCases(DType::kF16)) {
    if (!c.name.starts_with("decode/")) continue;
    Profiler profiler(*cuda);
    const OpRun run = c.make(profiler);
    profiler.Begin();
    run.call();
    const std::vector<OpProfile> ops = profiler.Take();
    const bool one = std::ranges::all_of(
        ops, [](const OpProfile& op) { return op.name.starts_with("decode "); });
    EXPECT_EQ(one, c.name.find("_separate") == std::string::npos) << c.name;
  }
}

class CudaRows : public testing::TestWithParam<DType> {};

TEST_P(CudaRows, AreTheSameAloneWhereDeterministic) {
  const auto cuda = TryCuda(true);
  if (cuda == nullptr) GTEST_SKIP() << "no CUDA device";
  for (const RowCase& c : RowCases(GetParam())) {
    EXPECT_EQ(CountRowDifferences(*cuda, c), 0) << c.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, CudaRows, testing::Values(DType::kF32, DType::kBF16, DType::kF16),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

TEST(CudaBackendTest, NamesTheDeviceOrSaysThatThereIsNone) {
  try {
    const auto cuda = MakeBackend("cuda");
    EXPECT_EQ(cuda->Info().name, "cuda");
    EXPECT_FALSE(cuda->Info().device.empty());
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kDevice);
  }
}

TEST(CudaBackendTest, RefusesMoreMemoryThanThereIs) {
  const auto cuda = TryCuda();
  if (cuda == nullptr) GTEST_SKIP() << "no CUDA device";
  try {
    cuda->Alloc(DType::kU8, {int64_t{1} << 45});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOutOfMemory);
  }
  EXPECT_FALSE(cuda->Alloc(DType::kU8, {1 << 20}).empty());  // and goes on
}

TEST(CudaBackendTest, RecordingsRepeatTheirCalls) {
  const auto cuda = TryCuda();
  if (cuda == nullptr) GTEST_SKIP() << "no CUDA device";
  const Tensor one = MakeTensor(DType::kF32, {3, 16});
  for (float& v : one.Span<float>()) v = 1.0f;
  const Tensor sum = cuda->Alloc(DType::kF32, {3, 16});
  const Tensor x = cuda->Alloc(DType::kF32, {3, 16});
  cuda->Copy(sum.view(), one.view());
  cuda->Copy(x.view(), one.view());
  const auto recording = cuda->Record([&] { cuda->Add(sum.view(), x.view()); });
  ASSERT_NE(recording, nullptr);
  for (int i = 0; i < 3; ++i) recording->Replay();
  cuda->Copy(one.view(), sum.view());
  cuda->Sync();
  for (float v : one.Span<float>()) EXPECT_EQ(v, 5.0f);  // 1, once run, three times replayed
}

}  // namespace
}  // namespace awq
