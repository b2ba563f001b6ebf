// Bench: what it reports of sizes that it is asked for; refusals; cancelling.
#include "awq/api/bench.h"

#include <gtest/gtest.h>

#include "awq/base/error.h"

namespace awq {
namespace {

BenchOptions Demo() {
  return {.model = AWQ_SOURCE_DIR "/models/demo",
          .prompts = {7},
          .batches = {1, 3},
          .contexts = {9},
          .tokens = 5,
          .repeats = 2,
          .device = "cpu"};
}

void Refused(const BenchOptions& options, const std::string& mention) {
  try {
    Bench(options);
    ADD_FAILURE() << "no error: " << mention;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument) << e.what();
    EXPECT_NE(std::string(e.what()).find(mention), std::string::npos) << e.what();
  }
}

TEST(Bench, MeasuresBatchesThenPrompts) {
  size_t told = 0;
  const BenchReport report = Bench(Demo(), [&](const BenchResult&) { ++told; });
  EXPECT_EQ(report.head_bits, 16);
  EXPECT_GT(report.weight_bytes, 30 << 20);
  ASSERT_EQ(report.results.size(), 3u);
  EXPECT_EQ(told, 3u);
  const BenchResult& three = report.results[1];
  EXPECT_EQ(three.name, "decode");
  EXPECT_EQ(three.batch, 3);
  EXPECT_EQ(three.tokens, 9);
  EXPECT_EQ(report.results[2].name, "prefill");
  EXPECT_EQ(report.results[2].tokens, 7);
  for (const BenchResult& r : report.results) {
    EXPECT_GT(r.least, 0);
    EXPECT_LE(r.least, r.median);
    EXPECT_LE(r.median, r.most);
    const int64_t work = r.name == "decode" ? r.batch : r.tokens;
    EXPECT_DOUBLE_EQ(r.tokens_per_second, static_cast<double>(work) / r.median);
  }
}

TEST(Bench, ContextsAreThoseOfSequencesInTurn) {
  BenchOptions options = Demo();
  options.prompts = {};
  options.batches = {5};
  options.contexts = {40, 10};
  const BenchReport report = Bench(options);
  ASSERT_EQ(report.results.size(), 1u);
  EXPECT_EQ(report.results[0].tokens, (3 * 40 + 2 * 10) / 5);
}

TEST(Bench, RefusesSizesOutOfRange) {
  BenchOptions options = Demo();
  options.contexts = {9, 100000};
  Refused(options, "ctx");
  options.contexts = {9, 0};
  Refused(options, "ctx");
  options.contexts = {};
  Refused(options, "ctx");
  options = Demo();
  options.tokens = 3;
  Refused(options, "tokens");
  options = Demo();
  options.batches = {0};
  Refused(options, "batch");
  options = Demo();
  options.prompts = {100000};
  Refused(options, "prompt");
}

TEST(Bench, CanBeCancelled) {
  try {
    Bench(Demo(), {}, [] { return true; });
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCancelled);
  }
}

}  // namespace
}  // namespace awq
