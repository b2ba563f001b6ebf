#include "awq/model/arch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "awq/base/error.h"

namespace awq {
namespace {

RawJson Llama() {
  return RawJson::parse(R"({"model_type": "llama", "hidden_size": 64, "vocab_size": 128,
    "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
    "intermediate_size": 96, "rms_norm_eps": 1e-5, "max_position_embeddings": 256})");
}

Model Read(const RawJson& config) { return ReadModel(Json::Parse(config.dump(), "config.json")); }

std::string ErrorOf(const RawJson& config, ErrorCode code) {
  try {
    Read(config);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error for " << config.dump();
  return {};
}

TEST(Arch, LlamaShapesAndNames) {
  const Model m = Read(Llama());
  EXPECT_EQ(m.spec.num_layers(), 3);
  EXPECT_EQ(m.spec.layers[0].attention.head_size, 16);
  EXPECT_EQ(m.names.Weight(Role::kQ, 2), "model.layers.2.self_attn.q_proj.weight");
  EXPECT_EQ(LinearOf(m.spec, 0, Role::kK).n, 32);
  EXPECT_EQ(LinearOf(m.spec, 0, Role::kDown).k, 96);
  // 2·128·64 + 64 + 3·(64·64 + 2·32·64 + 64·64 + 3·64·96 + 2·64)
  EXPECT_EQ(CountParameters(m.spec), 16384 + 64 + 3 * (4096 + 4096 + 4096 + 18432 + 128));
  EXPECT_EQ(KvBytesPerToken(m.spec, 2), 3 * 2 * 2 * 16 * 2);
}

TEST(Arch, MistralWindowDefaults) {
  RawJson c = Llama();
  c["model_type"] = "mistral";
  EXPECT_EQ(Read(c).spec.layers[0].attention.window, 4096);
  c["sliding_window"] = nullptr;
  EXPECT_EQ(Read(c).spec.layers[0].attention.window, 0);
  c["sliding_window"] = 8;
  EXPECT_EQ(Read(c).spec.layers[0].attention.window, 8);
}

TEST(Arch, Qwen2WindowByLayer) {
  RawJson c = Llama();
  c["model_type"] = "qwen2";
  c["sliding_window"] = 8;
  EXPECT_EQ(Read(c).spec.layers[2].attention.window, 0);  // not switched on
  c["use_sliding_window"] = true;
  c["max_window_layers"] = 1;
  const Model m = Read(c);
  EXPECT_EQ(m.spec.layers[0].attention.window, 0);
  EXPECT_EQ(m.spec.layers[1].attention.window, 8);
  EXPECT_TRUE(m.spec.layers[0].attention.qkv_bias);
  EXPECT_FALSE(m.spec.layers[0].attention.o_bias);
}

TEST(Arch, BadConfigurationsAreNamed) {
  RawJson c = Llama();
  c["model_type"] = "transformer-xl";
  EXPECT_NE(ErrorOf(c, ErrorCode::kUnsupported).find("llama, mistral, qwen2, qwen3"),
            std::string::npos);
  c = Llama();
  c["num_key_value_heads"] = 3;
  ErrorOf(c, ErrorCode::kCorrupt);
  c = Llama();
  c["hidden_size"] = -64;
  EXPECT_NE(ErrorOf(c, ErrorCode::kCorrupt).find("hidden_size"), std::string::npos);
  c = Llama();
  c["hidden_size"] = "64";
  EXPECT_NE(ErrorOf(c, ErrorCode::kCorrupt).find("expected an integer"), std::string::npos);
  c = Llama();
  c.erase("intermediate_size");
  EXPECT_NE(ErrorOf(c, ErrorCode::kCorrupt).find("intermediate_size"), std::string::npos);
  c = Llama();
  c["hidden_act"] = "xielu";
  EXPECT_NE(ErrorOf(c, ErrorCode::kUnsupported).find("silu"), std::string::npos);
  c = Llama();
  c["rope_scaling"] = {{"rope_type", "spiral"}};
  EXPECT_NE(ErrorOf(c, ErrorCode::kUnsupported).find("yarn"), std::string::npos);
  c = Llama();
  c["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 0}};
  ErrorOf(c, ErrorCode::kCorrupt);
  c["rope_scaling"] = {{"rope_type", "longrope"}, {"short_factor", {1.0}}, {"long_factor", {1.0}}};
  EXPECT_NE(ErrorOf(c, ErrorCode::kCorrupt).find("expected 8 factors"), std::string::npos);
}

// Transformers' defaults where a file does not state it.
TEST(Spec, HeadSizeWhenAbsent) {
  RawJson c = Llama();
  c.erase("head_dim");
  const int64_t heads = c["num_attention_heads"];
  const int64_t hidden = c["hidden_size"];
  for (const auto& [type, size] : {std::pair<const char*, int64_t>{"llama", hidden / heads},
                                   {"qwen2", hidden / heads},
                                   {"qwen3", 128},
                                   {"helium", 128}}) {
    c["model_type"] = type;
    EXPECT_EQ(Read(c).spec.layers[0].attention.head_size, size) << type;
  }
}

TEST(Rope, NewerFilesSayRopeParameters) {
  RawJson c = Llama();
  c["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 500000.0}};
  const RopeSpec rope = Read(c).spec.layers[0].attention.rope;
  EXPECT_EQ(rope.theta, 500000.0);
  const auto f = InverseFrequencies(rope, 0);
  ASSERT_EQ(f.size(), 8u);
  EXPECT_FLOAT_EQ(f[0], 0.25f);
  EXPECT_NEAR(f[1], std::pow(500000.0, -2.0 / 16) / 4, 1e-7);
}

}  // namespace
}  // namespace awq
