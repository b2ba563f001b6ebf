// Every tiny model through the whole pipeline: what is written has the names of the source, fused
// modules fused again, loads, and computes what its dequantized weights do.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "awq/nn/tiny_models.h"
#include "awq/quant/testing/quantize_tiny.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string model;
  std::string method;
  std::string format = "awq_gemm";
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.model << " by " << c.method;
  }
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const std::string& model : testing::TinyModelNames()) {
    for (const char* method : {"rtn", "awq", "joint"}) cases.push_back({model, method});
    cases.push_back({model, "rtn", "compressed-tensors"});
  }
  return cases;
}

std::vector<TokenBlock> RandomBlocks(int64_t vocab) {
  std::mt19937 random(11);
  std::uniform_int_distribution<int32_t> token(3, static_cast<int32_t>(vocab) - 1);
  std::vector<TokenBlock> blocks(8, TokenBlock(48));
  for (TokenBlock& block : blocks) {
    for (int32_t& t : block) t = token(random);
  }
  return blocks;
}

class Families : public ::testing::TestWithParam<Case> {
 protected:
  Families()
      : source_(testing::OpenTiny(GetParam().model)),
        folder_(fs::path(::testing::TempDir()) / Cat("awq_families_", GetParam().model, "_",
                                                     GetParam().method, "_", GetParam().format)) {}
  ~Families() override { fs::remove_all(folder_); }

  WeightSource Quantize(const std::string& method) {
    const auto written = testing::QuantizeTiny(
        fs::path(AWQ_TESTDATA) / "tiny" / GetParam().model, folder_,
        {.method = method,
         .format = GetParam().format,
         .rule = rule_,
         .blocks = method == "rtn" ? std::vector<TokenBlock>() : RandomBlocks(source_.spec().vocab),
         .linear_done = [&](const LinearOutcome& o) { outcomes_.push_back(o); }});
    return WeightSource(written, ReadModel(written->config()));
  }

  // The names that should be there: every module of a quantized linear in its packed spelling.
  std::set<std::string> ExpectedNames() const {
    std::set<std::string> names(source_.checkpoint().Names().begin(),
                                source_.checkpoint().Names().end());
    for (int64_t i = 0; i < source_.spec().num_layers(); ++i) {
      for (const LinearShape& shape : QuantizableLinears(source_.spec(), i)) {
        const std::string module = source_.names().Module(shape.id, i);
        names.erase(source_.SourceOf(shape.id, i));
        const auto parts = GetParam().format == "awq_gemm"
                               ? std::vector<std::string>{"qweight", "qzeros", "scales"}
                               : std::vector<std::string>{"weight_packed", "weight_scale",
                                                          "weight_shape", "weight_zero_point"};
        for (const std::string& part : parts) names.insert(Cat(module, ".", part));
      }
    }
    return names;
  }

  // On the prompt of the golden.
  std::vector<float> Logits(const WeightSource& weights,
                            const std::function<LayerParams(int64_t)>& layer) const {
    const std::vector<TokenBlock> one = {testing::LoadGoldens(GetParam().model)[1].tokens};
    return Run("ref", weights, layer, one);
  }
  // On what methods calibrate with.
  std::vector<float> CalibrationLogits(const WeightSource& weights) const {
    return Run(
        "cpu", weights, [&](int64_t i) { return weights.Layer(i); },
        RandomBlocks(weights.spec().vocab));
  }

  static std::vector<float> Run(const char* name, const WeightSource& weights,
                                const std::function<LayerParams(int64_t)>& layer,
                                const std::vector<TokenBlock>& blocks) {
    const auto backend = MakeBackend(name, 2);
    const CausalLm model(*backend, weights, layer);
    const KvPages pages(*backend, model.spec(), 0, model.spec().num_layers(), 32, DType::kF32);
    Workspace scratch(*backend);
    ExecContext ctx{*backend, scratch, DType::kF32, nullptr};
    BatchBuilder builder;
    return testing::RunBatch(ctx, model, BuildFreshBatch(builder, *backend, blocks), pages);
  }

  static double SquaredDistance(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      sum += d * d;
    }
    return sum;
  }

  WeightSource source_;
  fs::path folder_;
  const GridRule rule_{.scheme = {.bits = 4, .group = 32}};
  std::vector<LinearOutcome> outcomes_;
};

TEST_P(Families, QuantizesAndReloads) {
  const WeightSource written = Quantize(GetParam().method);
  const auto& names = written.checkpoint().Names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), ExpectedNames());

  const auto loaded = Logits(written, [&](int64_t i) { return written.Layer(i); });
  const auto dequantized = Logits(written, [&](int64_t i) {
    LayerParams layer = written.Layer(i);
    for (const LinearShape& shape : LayerLinears(written.spec(), i)) {
      layer.linears.at(shape.id).weight = written.DenseF32(shape, i);
    }
    return layer;
  });
  EXPECT_LE(testing::RelativeDifference(loaded, dequantized), 1e-5);
  // Logits that have nothing to do with each other are further apart than the larger of the two.
  const auto golden = testing::LoadGoldens(GetParam().model)[1].logits;
  EXPECT_LT(SquaredDistance(loaded, golden),
            SquaredDistance(golden, std::vector<float>(golden.size())));
}

// AWQ lowers the summed output error of the linears that share an input: one of them may lose a
// little. Joint follows the full-precision outputs instead, which only the model's can show.
TEST_P(Families, NeverWorseThanRounding) {
  if (GetParam().method == "rtn") GTEST_SKIP() << "rounding itself";
  const WeightSource written = Quantize(GetParam().method);
  ASSERT_FALSE(outcomes_.empty());
  if (GetParam().method == "awq") {
    double before = 0;
    double after = 0;
    for (const LinearOutcome& o : outcomes_) {
      if (o.id.expert < 0) {  // experts share one scale, and some read few tokens
        EXPECT_LE(o.error_after, o.error_before * 1.1)
            << "layer " << o.layer << " " << LinearName(o.id);
      }
      before += o.error_before;
      after += o.error_after;
    }
    EXPECT_LT(after, before);
  } else {
    const auto original = CalibrationLogits(source_);
    const double error = SquaredDistance(CalibrationLogits(written), original);
    EXPECT_LT(error, SquaredDistance(CalibrationLogits(Quantize("rtn")), original));
  }
}

// Whatever order a module keeps its rows in, each part holds its own rounded weights.
TEST_P(Families, RoundingKeepsRowsInPlace) {
  if (GetParam().method != "rtn") GTEST_SKIP() << "weights move";
  const WeightSource written = Quantize(GetParam().method);
  GridRule rule = rule_;
  rule.scale_type =
      PackFormatByName(GetParam().format).ScaleType(source_.checkpoint().model_type());
  ThreadPool pool(2);
  for (int64_t i = 0; i < source_.spec().num_layers(); ++i) {
    for (const LinearShape& shape : QuantizableLinears(source_.spec(), i)) {
      const Tensor original = source_.DenseF32(shape, i);
      const Tensor expected = Dequantize(QuantizeToNearest(rule, pool, original.view()));
      const Tensor found = written.DenseF32(shape, i);
      EXPECT_TRUE(std::ranges::equal(found.Span<const float>(), expected.Span<const float>()))
          << "layer " << i << " " << LinearName(shape.id);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Families, ::testing::ValuesIn(AllCases()), [](const auto& info) {
  const Case& c = info.param;
  return Cat(c.model, "_", c.method, c.format == "awq_gemm" ? "" : "_ct");
});

}  // namespace
}  // namespace awq
