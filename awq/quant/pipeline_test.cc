// A run that is cut off anywhere and taken up again gives the bytes of one that was not.
#include "awq/quant/pipeline.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <random>

#include "awq/backend/make_backend.h"
#include "awq/base/testing.h"
#include "awq/quant/plan.h"
#include "awq/quant/run_folder.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

class PipelineTest : public testing::TestWithParam<const char*> {
 protected:
  PipelineTest()
      : checkpoint_(Checkpoint::Open(fs::path(AWQ_TESTDATA) / "tiny_quantized" / "source")),
        source_(checkpoint_, ReadModel(checkpoint_->config())),
        method_(MakeQuantMethod(GetParam())) {
    folder_ = fs::path(testing::TempDir()) / Cat("pipeline-", ::getpid(), "-", GetParam());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_.rule.scheme.group = 32;
    std::mt19937 random(5);
    for (int b = 0; b < 6; ++b) {
      TokenBlock& block = blocks_.emplace_back();
      for (int t = 0; t < 40; ++t) {
        block.push_back(
            static_cast<int32_t>(random() % static_cast<uint32_t>(source_.spec().vocab)));
      }
    }
  }
  ~PipelineTest() override { fs::remove_all(folder_); }

  // Whether it came to its end. `stop` is asked at every poll.
  bool Run(const fs::path& target, const std::function<bool()>& stop, int threads = 1,
           int64_t kept_memory = kKeptBytes, int64_t moment_columns = 0) {
    RunFolder folder(target);
    auto journal = folder.OpenJournal();
    if (journal == nullptr) journal = folder.Begin({{"test", GetParam()}});
    const auto backend = MakeBackend("cpu", threads);
    ThreadPool pool(threads);
    linears_ = 0;
    try {
      ShardWriter writer(folder.output(), 40000, {});
      RunPipeline({source_, *backend, pool, *method_, PackFormatByName("awq_gemm"), options_,
                   blocks_, writer, folder.path(), journal.get(), kept_memory, moment_columns,
                   [](int64_t) {}, [&](const LinearOutcome&) { ++linears_; },
                   [&] {
                     if (stop()) Fail(ErrorCode::kCancelled, "stop");
                   }});
      writer.Finish();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCancelled) << e.what();
      return false;
    }
    folder.Commit();
    return true;
  }

  std::map<std::string, std::string> Contents(const fs::path& target) const {
    std::map<std::string, std::string> out;
    for (const auto& e : fs::directory_iterator(target)) {
      out[e.path().filename()] = ReadFile(e.path());
    }
    return out;
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  WeightSource source_;
  std::unique_ptr<QuantMethod> method_;
  MethodOptions options_;
  std::vector<TokenBlock> blocks_;
  fs::path folder_;
  int linears_ = 0;
};

const auto kNever = [] { return false; };

TEST_P(PipelineTest, CutOffAnywhereItGivesTheSameBytes) {
  int polls = 0;
  ASSERT_TRUE(Run(folder_ / "whole", [&] { return ++polls < 0; }));
  const int linears = linears_;
  const auto expected = Contents(folder_ / "whole");
  EXPECT_GT(expected.size(), 2u);
  std::mt19937 random(7);
  for (int cycle = 0; cycle < 6; ++cycle) {
    SCOPED_TRACE(cycle);
    const fs::path target = folder_ / "cut";
    bool done = false;
    for (int attempt = 0; attempt < 4 && !done; ++attempt) {
      int left = static_cast<int>(random() % static_cast<uint32_t>(polls));
      done = Run(target, [&] { return left-- == 0; });
    }
    if (!done) done = Run(target, kNever);
    ASSERT_TRUE(done);
    EXPECT_EQ(linears_, linears);  // the finished ones are told of again
    EXPECT_EQ(Contents(target), expected);
    fs::remove_all(target);
  }
}

TEST_P(PipelineTest, TheBytesDependNeitherOnThreadsNorOnWhereRowsAreKept) {
  ASSERT_TRUE(Run(folder_ / "a", kNever));
  ASSERT_TRUE(Run(folder_ / "b", kNever, 3, 0));
  EXPECT_EQ(Contents(folder_ / "a"), Contents(folder_ / "b"));
}

TEST_P(PipelineTest, BlocksAsWideAsTheInputsAreWholeMoments) {
  if (method_->ReplaysInputs()) GTEST_SKIP();
  ASSERT_TRUE(Run(folder_ / "a", kNever));
  ASSERT_TRUE(Run(folder_ / "b", kNever, 1, kKeptBytes, int64_t{1} << 20));
  EXPECT_EQ(Contents(folder_ / "a"), Contents(folder_ / "b"));
  ASSERT_TRUE(Run(folder_ / "c", kNever, 1, kKeptBytes, 32));
  EXPECT_EQ(Contents(folder_ / "a") != Contents(folder_ / "c"), method_->NeedsCalibration());
}

TEST_P(PipelineTest, PlansFitTheirLimitOrSayWhichWould) {
  PlanRequest request{.source = source_, .method = *method_, .options = options_};
  request.tokens = 1 << 16;
  request.longest_block = 512;
  request.shard_bytes = 1 << 30;
  const QuantPlan whole = MakePlan(request, nullptr);
  EXPECT_GT(whole.memory, 0);
  EXPECT_EQ(whole.moment_columns, 0);
  EXPECT_GT(whole.disk, whole.output_bytes);
  EXPECT_EQ(static_cast<int64_t>(whole.units.size()), source_.spec().num_layers() + 1);
  request.memory_limit = whole.memory;
  EXPECT_EQ(MakePlan(request, nullptr).memory, whole.memory);
  request.memory_limit = whole.whole_memory;  // nothing is left for kept rows: they go to a file
  const QuantPlan tight = MakePlan(request, nullptr);
  EXPECT_LE(tight.memory, request.memory_limit);
  EXPECT_EQ(tight.kept_memory + tight.kept_bytes, whole.kept_memory);
  request.memory_limit = 1000;
  ExpectError(ErrorCode::kInvalidArgument, {"--memory-limit 1MB", "MB will do"},
              [&] { MakePlan(request, nullptr); });
}

INSTANTIATE_TEST_SUITE_P(Methods, PipelineTest,
                         testing::Values("rtn", "awq", "gptq", "joint", "autoawq"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace awq
