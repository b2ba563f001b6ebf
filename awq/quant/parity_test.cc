// Parity mode against a checkpoint that AutoAWQ 0.2.9 itself wrote from the same tokens.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "awq/quant/calibration/calibration.h"
#include "awq/quant/testing/quantize_tiny.h"

namespace awq {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(AWQ_TESTDATA) / "tiny_quantized";

std::vector<TokenBlock> Blocks() {
  std::vector<TokenBlock> blocks;
  const std::string text = ReadFile(kFolder / "source" / "calibration.jsonl");
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const Json record = Json::Parse(text.substr(at, end - at), "calibration.jsonl");
    TokenBlock& block = blocks.emplace_back();
    for (const Json& id : record.At("tokens").AsArray()) {
      block.push_back(static_cast<int32_t>(id.AsInt()));
    }
    at = end + 1;
  }
  return blocks;
}

std::shared_ptr<const Checkpoint> QuantizeTiny(const std::string& method, std::string_view format,
                                               const GridRule& rule, const fs::path& folder) {
  return testing::QuantizeTiny(
      kFolder / "source", folder,
      {.method = method, .format = format, .rule = rule, .blocks = Blocks()});
}

// The share of codes that two quantized checkpoints of the tiny source have in common.
double SameCodes(const Checkpoint& ours, const Checkpoint& theirs) {
  const Model model = ReadModel(theirs.config());
  int64_t codes = 0;
  int64_t same = 0;
  for (int64_t layer = 0; layer < model.spec.num_layers(); ++layer) {
    for (const LinearShape& shape : LayerLinears(model.spec, layer)) {
      const std::string name = model.names.Module(shape.id, layer);
      const auto unpack = [&](const Checkpoint& c) {
        return c.format()->Unpack(c, name, c.scheme(), shape.n, shape.k);
      };
      const QuantizedWeight a = unpack(ours);
      const QuantizedWeight b = unpack(theirs);
      for (int64_t r = 0; r < shape.n; ++r) {
        for (int64_t c = 0; c < shape.k; ++c, ++codes) same += a.Code(r, c) == b.Code(r, c);
      }
    }
  }
  return static_cast<double>(same) / static_cast<double>(codes);
}

TEST(Parity, MakesAutoAwqsChoices) {
  const fs::path folder = fs::path(::testing::TempDir()) / "awq_parity_test";
  const GridRule rule{.scheme = {.bits = 4, .group = 32}};
  const auto ours = QuantizeTiny("autoawq", "awq_gemm", rule, folder / "parity");
  const auto theirs = Checkpoint::Open(kFolder / "autoawq");
  EXPECT_EQ(ours->Names(), theirs->Names());
  // One of the ratios (layer 1, o_proj) is chosen between losses that differ by .1 %, where the
  // order of a sum decides; the codes of that linear and what follows differ.
  EXPECT_GE(SameCodes(*ours, *theirs), 0.98);
  const auto control = QuantizeTiny("awq", "awq_gemm", rule, folder / "control");
  EXPECT_LT(SameCodes(*control, *theirs), 0.95);

  const Model model = ReadModel(theirs->config());
  for (int64_t layer = 0; layer < model.spec.num_layers(); ++layer) {
    const std::string norm = model.names.Weight(Role::kAttnNorm, layer);
    const Tensor x = ConvertTo(ours->Get(norm).view(), DType::kF32);
    const Tensor y = ConvertTo(theirs->Get(norm).view(), DType::kF32);
    for (int64_t i = 0; i < model.spec.hidden; ++i) {
      EXPECT_NEAR(x.As<float>()[i], y.As<float>()[i], 0.01f * std::abs(y.As<float>()[i]) + 1e-6f);
    }
  }
  fs::remove_all(folder);
}

// The same codes whatever the format that holds them.
TEST(Formats, HoldTheSameWeights) {
  const fs::path folder = fs::path(::testing::TempDir());
  const GridRule rule{.scheme = {.bits = 4, .group = 32}};
  const auto gemm = QuantizeTiny("rtn", "awq_gemm", rule, folder / "awq_formats_gemm");
  const auto ct = QuantizeTiny("rtn", "compressed-tensors", rule, folder / "awq_formats_ct");
  const Model model = ReadModel(gemm->config());
  for (const LinearShape& shape : LayerLinears(model.spec, 0)) {
    const std::string name = model.names.Module(shape.id, 0);
    const Tensor a =
        Dequantize(gemm->format()->Unpack(*gemm, name, gemm->scheme(), shape.n, shape.k));
    const Tensor b = Dequantize(ct->format()->Unpack(*ct, name, ct->scheme(), shape.n, shape.k));
    double difference = 0;
    double top = 0;
    for (int64_t i = 0; i < a.view().NumElements(); ++i) {
      difference = std::max<double>(difference, std::abs(a.As<float>()[i] - b.As<float>()[i]));
      top = std::max<double>(top, std::abs(b.As<float>()[i]));
    }
    EXPECT_LT(difference, 0.2 * top);  // bf16 scales move a value by one code at most
  }
  fs::remove_all(folder / "awq_formats_gemm");
  fs::remove_all(folder / "awq_formats_ct");
}

}  // namespace
}  // namespace awq
