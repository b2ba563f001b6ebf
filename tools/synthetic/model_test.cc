// What config.json says of shapes, as the engine reads it.
#include "tools/synthetic/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "awq/model/arch.h"

namespace awq::synthetic {
namespace {

Model Named(std::string_view name) {
  for (const Model& m : Models()) {
    if (m.name == name) return m;
  }
  throw std::out_of_range(std::string(name));
}
ModelSpec SpecOf(std::string_view name) {
  return ReadModel(Json::Parse(Config(Named(name), {}, DType::kF16).dump(), std::string(name))).spec;
}

TEST(SyntheticModels, AreReadAsTheyAre) {
  for (const Model& m : Models()) {
    const ModelSpec spec = SpecOf(m.name);
    EXPECT_EQ(spec.hidden, m.hidden) << m.name;
    EXPECT_EQ(spec.vocab, m.vocab) << m.name;
    EXPECT_EQ(spec.num_layers(), m.layers) << m.name;
    if (m.kv_rank > 0) continue;
    const GqaSpec& attention = GqaOf(spec.layers.back());
    EXPECT_EQ(attention.heads, m.heads) << m.name;
    EXPECT_EQ(attention.kv_heads, m.kv_heads) << m.name;
    EXPECT_EQ(attention.head_size, m.head_size) << m.name;
  }
}

TEST(SyntheticModels, HaveTheirFamiliesAttention) {
  const ModelSpec gemma2 = SpecOf("gemma-2-9b");
  EXPECT_EQ(GqaOf(gemma2.layers[0]).window, 4096);
  EXPECT_EQ(GqaOf(gemma2.layers[1]).window, 0);
  EXPECT_EQ(GqaOf(gemma2.layers[0]).softcap, 50);
  const ModelSpec gemma3 = SpecOf("gemma-3-27b");
  EXPECT_EQ(GqaOf(gemma3.layers[4]).window, 1024);
  EXPECT_EQ(GqaOf(gemma3.layers[5]).window, 0);
  EXPECT_DOUBLE_EQ(GqaOf(gemma3.layers[5]).scale, 1 / std::sqrt(168.0));
  EXPECT_EQ(GqaOf(SpecOf("phi-3-mini").layers[0]).window, 2047);
  EXPECT_GT(GqaOf(SpecOf("mpt-7b").layers[0]).alibi, 0);
  EXPECT_TRUE(GqaOf(SpecOf("qwen2.5-7b").layers[0]).qkv_bias);
}

}  // namespace
}  // namespace awq::synthetic
