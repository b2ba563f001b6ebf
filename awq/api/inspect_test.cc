// Inspect: figures of known checkpoints.
#include "awq/api/inspect.h"

#include <gtest/gtest.h>

#include "awq/api/internal/scratch_folder.h"
#include "awq/api/quantize.h"
#include "awq/base/error.h"

namespace awq {
namespace {

const std::filesystem::path kDemo = AWQ_SOURCE_DIR "/models/demo";

TEST(Inspect, Demo) {
  const InspectReport r = Inspect(kDemo, 1000);
  EXPECT_EQ(r.architecture, "llama");
  EXPECT_EQ(r.parameters, 18880896);  // as its README says
  EXPECT_EQ(r.layers, 8);
  EXPECT_EQ(r.kv_heads, 2);
  EXPECT_TRUE(r.tied_head);
  EXPECT_EQ(r.format, "dense");
  EXPECT_EQ(r.bits, 0);
  EXPECT_DOUBLE_EQ(r.bits_per_weight, 16);
  EXPECT_DOUBLE_EQ(r.linear_bits_per_weight, 16);
  EXPECT_EQ(r.file_bytes, 2 * 18880896);
  EXPECT_EQ(r.tensors.size(), 8u * 9 + 2);
  EXPECT_EQ(r.kv_bytes, 1000 * 8 * 2 * 2 * 64 * 2);  // layers · (k, v) · heads · size · 2 bytes
  ASSERT_EQ(r.types.size(), 1u);
  EXPECT_EQ(r.types[0].type, "BF16");
  EXPECT_EQ(Inspect(kDemo).context, 2048);
  EXPECT_THROW(Inspect(kDemo, 2049), Error);
}

TEST(Inspect, Quantized) {
  const testing::ScratchFolder folder;
  const auto out = folder.path() / "q";
  Quantize({.model = kDemo, .output = out, .method = "rtn", .group = 64, .device = "cpu"});
  const InspectReport r = Inspect(out);
  EXPECT_EQ(r.format, "awq_gemm");
  EXPECT_EQ(r.bits, 4);
  EXPECT_EQ(r.group, 64);
  EXPECT_FALSE(r.symmetric);
  EXPECT_EQ(r.quantized_linears, 56);
  EXPECT_TRUE(r.skipped.empty());  // a tied head is the embedding
  EXPECT_DOUBLE_EQ(r.linear_bits_per_weight, 4 + (16 + 4) / 64.0);
  EXPECT_EQ(r.parameters, 18880896);
}

TEST(Inspect, Windows) {
  EXPECT_EQ(Inspect(AWQ_TESTDATA "/tiny/mistral_window").window, 8);
  EXPECT_EQ(Inspect(AWQ_TESTDATA "/tiny/mistral_full").window, 0);
}

}  // namespace
}  // namespace awq
