// The pass against gradients added up by hand, in whatever runs of blocks it goes through.
#include "awq/quant/fisher/fisher_pass.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <random>

#include "awq/backend/make_backend.h"
#include "awq/quant/output_metric.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

class FisherPassTest : public testing::Test {
 protected:
  FisherPassTest()
      : checkpoint_(Checkpoint::Open(fs::path(AWQ_TESTDATA) / "tiny_quantized" / "source")),
        source_(checkpoint_, ReadModel(checkpoint_->config())),
        backend_(MakeBackend("cpu", 2)),
        folder_(fs::path(testing::TempDir()) / ("fisher-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    std::mt19937 random(5);
    for (int b = 0; b < 5; ++b) {
      TokenBlock& block = blocks_.emplace_back();
      for (int t = 0; t < 20 + 3 * b; ++t) {
        block.push_back(
            static_cast<int32_t>(random() % static_cast<uint32_t>(source_.spec().vocab)));
      }
    }
  }
  ~FisherPassTest() override { fs::remove_all(folder_); }

  MetricFiles Run(
      const std::string& name, int64_t stream_bytes, const std::function<void()>& poll = [] {}) {
    FisherPass({source_, *backend_, pool_, blocks_, folder_ / name, poll,
                [this](double done) { done_ = done; }, stream_bytes})
        .Run();
    return {source_.spec(), folder_ / name};
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  WeightSource source_;
  std::unique_ptr<Backend> backend_;
  ThreadPool pool_{2};
  fs::path folder_;
  std::vector<TokenBlock> blocks_;
  double done_ = 0;
};

TEST_F(FisherPassTest, RunsOfBlocksAddUp) {
  const MetricFiles whole = Run("whole", kFisherStreamBytes);
  EXPECT_NEAR(done_, 1, 1e-9);
  const MetricFiles parts = Run("parts", 1);  // block after block
  EXPECT_NEAR(done_, 1, 1e-9);
  EXPECT_EQ(whole.blocks_done(), 5);
  EXPECT_EQ(parts.blocks_done(), 5);
  for (int64_t i = 0; i < source_.spec().num_layers(); ++i) {
    const auto a = whole.Read(i);
    const auto b = parts.Read(i);
    EXPECT_EQ(a.size(), QuantizableLinears(source_.spec(), i).size());
    for (const auto& [id, sums] : a) {
      double error = 0;
      double power = 0;
      for (int64_t at = 0; at < sums.view().NumElements(); ++at) {
        const double d = static_cast<double>(sums.As<float>()[at]) -
                         static_cast<double>(b.at(id).As<float>()[at]);
        error += d * d;
        power += std::pow(static_cast<double>(sums.As<float>()[at]), 2);
      }
      EXPECT_GT(power, 0) << LinearName(id);
      EXPECT_LT(error, 1e-8 * power) << LinearName(id);
      EXPECT_FALSE(MakeOutputMetric(whole.Read(i, id).view(), 0.3).empty());
    }
  }
  // Nothing but the metrics stays.
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "parts"), fs::directory_iterator()),
            2 * source_.spec().num_layers() + 1);
}

TEST_F(FisherPassTest, GoesOnBehindWhatIsDone) {
  int polls = 0;
  for (const int at : {3, 8, 9, 5}) {
    polls = 0;
    const auto stop = [&] {
      if (++polls == at) Fail(ErrorCode::kCancelled, "stop");
    };
    EXPECT_THROW(Run("stopped", 1, stop), Error);
  }
  const MetricFiles stopped = Run("stopped", 1);
  const MetricFiles whole = Run("whole", 1);
  for (int64_t i = 0; i < source_.spec().num_layers(); ++i) {
    for (const auto& [id, sums] : whole.Read(i)) {
      const Tensor again = stopped.Read(i, id);
      EXPECT_EQ(std::memcmp(again.As<float>(), sums.As<float>(),
                            static_cast<size_t>(sums.view().NumBytes())),
                0)
          << LinearName(id);
    }
  }
  polls = 0;
  Run("whole", 1, [&] { ++polls; });
  EXPECT_EQ(polls, 0);
}

}  // namespace
}  // namespace awq
