// Verify: sound checkpoints pass; each kind of damage is found and named.
#include "awq/api/verify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "awq/api/internal/scratch_folder.h"
#include "awq/api/quantize.h"
#include "awq/base/dtype.h"
#include "awq/base/error.h"
#include "awq/base/json.h"

namespace awq {
namespace {

namespace fs = std::filesystem;
const fs::path kTiny = AWQ_TESTDATA "/tiny/llama_gqa_tied";

// Byte offset of a tensor in a safetensors file.
int64_t OffsetOf(const fs::path& file, const std::string& tensor) {
  const std::string text = ReadFile(file);
  uint64_t header = 0;
  std::memcpy(&header, text.data(), 8);
  const Json json = Json::Parse(std::string_view(text).substr(8, header), file.string());
  return 8 + static_cast<int64_t>(header) + json.At(tensor).At("data_offsets").AsArray()[0].AsInt();
}

void Poke(const fs::path& file, int64_t offset, const std::string& bytes) {
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(offset);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() : quantized_(folder_.path() / "q") {
    Quantize({.model = kTiny, .output = quantized_, .method = "rtn", .group = 32, .device = "cpu"});
  }
  static VerifyReport Check(const fs::path& model) { return Verify({.model = model}); }
  static void HasProblem(const VerifyReport& report, const std::string& mention) {
    for (const std::string& p : report.problems) {
      if (p.find(mention) != std::string::npos) return;
    }
    ADD_FAILURE() << "no problem mentions " << mention
                  << (report.problems.empty() ? "" : "; the first is " + report.problems[0]);
  }

  testing::ScratchFolder folder_;
  fs::path quantized_;
};

TEST_F(VerifyTest, SoundCheckpointsPass) {
  const VerifyReport dense = Check(kTiny);
  EXPECT_TRUE(dense.ok());
  EXPECT_EQ(dense.files_hashed, 0);
  const VerifyReport quantized = Verify({.model = quantized_, .source = kTiny, .device = "cpu"});
  EXPECT_TRUE(quantized.ok()) << quantized.problems[0];
  EXPECT_GE(quantized.files_hashed, 2);
  for (const LinearError& l : quantized.linears) {
    EXPECT_GT(l.relative_error, 0.02) << l.linear;
    EXPECT_LT(l.relative_error, 0.2) << l.linear;
  }
  ASSERT_TRUE(quantized.logits.has_value());
  EXPECT_GT(quantized.logits->kld_mean, 0);
}

TEST_F(VerifyTest, AChangedByteIsFound) {
  const fs::path file = quantized_ / "model.safetensors";
  Poke(file, static_cast<int64_t>(fs::file_size(file)) - 1, "\x11");
  HasProblem(Check(quantized_), "model.safetensors: expected SHA-256");
}

TEST_F(VerifyTest, AMissingFileIsFound) {
  fs::copy_file(kTiny / "config.json", quantized_ / "extra.json");
  EXPECT_TRUE(Check(quantized_).ok());
  testing::Replace(quantized_ / "awq_manifest.json", "\"config.json\"", "\"gone.json\"");
  HasProblem(Check(quantized_), "gone.json: missing");
}

TEST_F(VerifyTest, ValuesThatAreNoNumbersAreFound) {
  const fs::path dense = folder_.Copy(kTiny, "dense");
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  Poke(dense / "model.safetensors", OffsetOf(dense / "model.safetensors", name) + 6, "\xc0\x7f");
  HasProblem(Check(dense), "model.layers.1.mlp.up_proj: element 3 is nan");
  const std::string norm = "model.layers.0.input_layernorm.weight";
  Poke(dense / "model.safetensors", OffsetOf(dense / "model.safetensors", norm), "\x80\x7f");
  HasProblem(Check(dense), "input_layernorm.weight: element 0 is inf");
  EXPECT_EQ(Check(dense).problems.size(), 2u);
}

TEST_F(VerifyTest, BadScalesAndCodesAreFound) {
  fs::remove(quantized_ / "awq_manifest.json");
  const fs::path file = quantized_ / "model.safetensors";
  const std::string q = "model.layers.0.self_attn.q_proj";
  Poke(file, OffsetOf(file, q + ".scales"), std::string("\x00\x7e", 2));
  HasProblem(Check(quantized_), "q_proj: scales: element 0 is nan");
  Poke(file, OffsetOf(file, q + ".scales"), std::string(2, '\0'));
  HasProblem(Check(quantized_), "q_proj: scales: row 0, group 0 is 0");
  const std::string k = "model.layers.0.self_attn.k_proj";
  const int64_t begin = OffsetOf(file, k + ".qweight");
  Poke(file, begin, std::string(64 * 32 / 2, '\x55'));
  HasProblem(Check(quantized_), "k_proj: all codes are 5");
}

TEST_F(VerifyTest, ScaledNeighboursAreUndone) {
  // Norm / 4 and its consumers × 4 is the same model; norm / 4 alone is not.
  const fs::path half = folder_.Copy(kTiny, "half");
  const fs::path file = half / "model.safetensors";
  const auto scale = [&](const std::string& name, int64_t count, float factor) {
    const int64_t at = OffsetOf(file, name);
    const std::string text = ReadFile(file);
    std::string bytes;
    for (int64_t i = 0; i < count; ++i) {
      uint16_t bits = 0;
      std::memcpy(&bits, text.data() + at + 2 * i, 2);
      bits = FloatToBf16(Bf16ToFloat(bits) * factor);
      bytes.append(reinterpret_cast<const char*>(&bits), 2);
    }
    Poke(file, at, bytes);
  };
  const auto elements = [&](const std::string& name) {
    const std::string text = ReadFile(file);
    uint64_t header = 0;
    std::memcpy(&header, text.data(), 8);
    const auto range = Json::Parse(std::string_view(text).substr(8, header), "h")
                           .At(name)
                           .At("data_offsets")
                           .AsArray();
    return (range[1].AsInt() - range[0].AsInt()) / 2;
  };
  const std::string layer = "model.layers.0.";
  scale(layer + "input_layernorm.weight", 64, 0.25f);
  for (const std::string name : {"q_proj", "k_proj", "v_proj"}) {
    std::string full = layer;
    full.append("self_attn.").append(name).append(".weight");
    scale(full, elements(full), 4);
  }
  scale(layer + "mlp.up_proj.weight", elements(layer + "mlp.up_proj.weight"), 8);
  scale(layer + "mlp.down_proj.weight", elements(layer + "mlp.down_proj.weight"), 0.125f);
  const VerifyReport same = Verify({.model = half, .source = kTiny, .device = "cpu"});
  EXPECT_TRUE(same.ok()) << same.problems[0];
  for (const LinearError& l : same.linears) EXPECT_LT(l.relative_error, 1e-6) << l.linear;
  EXPECT_LT(same.logits->kld_mean, 1e-9);

  scale(layer + "mlp.down_proj.weight", elements(layer + "mlp.down_proj.weight"), 4);
  HasProblem(Verify({.model = half, .source = kTiny, .device = "cpu"}),
             "down_proj: expected a relative error below 0.5");
}

TEST_F(VerifyTest, WhatKeepsItFromLookingIsThrown) {
  const auto code = [](const VerifyOptions& options, const VerifyCallbacks& callbacks = {}) {
    try {
      Verify(options, callbacks);
    } catch (const Error& e) {
      return e.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code({.model = "/no/such"}), ErrorCode::kNotFound);
  EXPECT_EQ(code({.model = quantized_, .source = fs::path(AWQ_TESTDATA "/tiny/qwen3")}),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.model = quantized_}, {.cancelled = [] { return true; }}), ErrorCode::kCancelled);
  testing::Replace(quantized_ / "awq_manifest.json", "{", "[");
  EXPECT_EQ(code({.model = quantized_}), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace awq
