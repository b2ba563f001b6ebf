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
  EXPECT_EQ(GqaOf(m.spec.layers[0]).head_size, 16);
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
  EXPECT_EQ(GqaOf(Read(c).spec.layers[0]).window, 4096);
  c["sliding_window"] = nullptr;
  EXPECT_EQ(GqaOf(Read(c).spec.layers[0]).window, 0);
  c["sliding_window"] = 8;
  EXPECT_EQ(GqaOf(Read(c).spec.layers[0]).window, 8);
}

TEST(Arch, Qwen2WindowByLayer) {
  RawJson c = Llama();
  c["model_type"] = "qwen2";
  c["sliding_window"] = 8;
  EXPECT_EQ(GqaOf(Read(c).spec.layers[2]).window, 0);  // not switched on
  c["use_sliding_window"] = true;
  c["max_window_layers"] = 1;
  const Model m = Read(c);
  EXPECT_EQ(GqaOf(m.spec.layers[0]).window, 0);
  EXPECT_EQ(GqaOf(m.spec.layers[1]).window, 8);
  EXPECT_TRUE(GqaOf(m.spec.layers[0]).qkv_bias);
  EXPECT_FALSE(GqaOf(m.spec.layers[0]).o_bias);
}

TEST(Arch, BadConfigurationsAreNamed) {
  RawJson c = Llama();
  c["model_type"] = "transformer-xl";
  EXPECT_NE(ErrorOf(c, ErrorCode::kUnsupported).find("llama, mistral, "), std::string::npos);
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
    EXPECT_EQ(GqaOf(Read(c).spec.layers[0]).head_size, size) << type;
  }
}

RawJson Minimal(const std::string& text) { return RawJson::parse(text); }

// A file that states no more than its sizes: the rest is what Transformers assumes.
TEST(Spec, DefaultsOfEachFamily) {
  const ModelSpec gemma =
      Read(Minimal(R"({"model_type": "gemma", "hidden_size": 64, "vocab_size": 128,
      "num_attention_heads": 16, "num_hidden_layers": 1, "intermediate_size": 96})"))
          .spec;
  EXPECT_EQ(GqaOf(gemma.layers[0]).head_size, 256);
  EXPECT_EQ(MlpOf(gemma.layers[0]).activation, FfnActivation::kGeluTanh);
  EXPECT_EQ(gemma.final_norm.offset, 1);
  EXPECT_EQ(gemma.embed.scale, 8);
  EXPECT_TRUE(gemma.embed.tied_head);

  const RawJson small2 = Minimal(R"({"model_type": "gemma2", "hidden_size": 64, "vocab_size": 128,
      "num_attention_heads": 8, "num_hidden_layers": 3, "intermediate_size": 96})");
  const ModelSpec gemma2 = Read(small2).spec;
  EXPECT_EQ(gemma2.layers[0].residual, Residual::kSandwich);
  EXPECT_EQ(GqaOf(gemma2.layers[0]).window, 4096);
  EXPECT_EQ(GqaOf(gemma2.layers[1]).window, 0);
  EXPECT_EQ(GqaOf(gemma2.layers[2]).window, 4096);
  EXPECT_EQ(GqaOf(gemma2.layers[0]).softcap, 50);
  EXPECT_EQ(GqaOf(gemma2.layers[0]).scale, 1.0 / 16);
  EXPECT_EQ(GqaOf(gemma2.layers[0]).kv_heads, 4);
  EXPECT_EQ(gemma2.head.softcap, 30);
  RawJson plain2 = small2;  // null switches a cap off, absence does not
  plain2["attn_logit_softcapping"] = plain2["final_logit_softcapping"] = nullptr;
  EXPECT_EQ(GqaOf(Read(plain2).spec.layers[0]).softcap, 0);
  EXPECT_EQ(Read(plain2).spec.head.softcap, 0);

  const ModelSpec neox =
      Read(Minimal(R"({"model_type": "gpt_neox", "hidden_size": 64, "vocab_size": 128,
      "num_attention_heads": 4, "num_hidden_layers": 1, "intermediate_size": 96})"))
          .spec;
  EXPECT_EQ(GqaOf(neox.layers[0]).rope.rotary, 4);
  EXPECT_EQ(neox.layers[0].residual, Residual::kParallelTwoNorms);
  EXPECT_TRUE(GqaOf(neox.layers[0]).qkv_bias);
  EXPECT_TRUE(MlpOf(neox.layers[0]).bias);
  EXPECT_FALSE(neox.embed.tied_head);
  EXPECT_EQ(neox.final_norm.epsilon, 1e-5);

  const ModelSpec opt =
      Read(Minimal(R"({"model_type": "opt", "hidden_size": 64, "vocab_size": 128, "ffn_dim": 96,
      "num_attention_heads": 4, "num_hidden_layers": 1})"))
          .spec;
  EXPECT_EQ(opt.embed.positions, 2050);
  EXPECT_EQ(opt.embed.position_offset, 2);
  EXPECT_EQ(MlpOf(opt.layers[0]).activation, FfnActivation::kRelu);
  EXPECT_EQ(GqaOf(opt.layers[0]).rope.rotary, 0);
  EXPECT_FALSE(opt.has_projections());
  EXPECT_TRUE(opt.embed.tied_head);

  const ModelSpec bloom =
      Read(Minimal(R"({"model_type": "bloom", "n_embed": 64, "vocab_size": 128, "n_head": 4,
      "n_layer": 2, "seq_length": 512})"))
          .spec;
  EXPECT_EQ(bloom.hidden, 64);
  EXPECT_EQ(bloom.context, 512);
  EXPECT_EQ(MlpOf(bloom.layers[1]).size, 256);
  EXPECT_EQ(bloom.embed.norm.type, NormType::kLayer);
  EXPECT_TRUE(bloom.embed.tied_head);

  const ModelSpec phi3 =
      Read(Minimal(R"({"model_type": "phi3", "hidden_size": 64, "vocab_size": 128,
      "num_attention_heads": 4, "num_hidden_layers": 1, "intermediate_size": 96})"))
          .spec;
  EXPECT_EQ(phi3.context, 4096);
  EXPECT_EQ(phi3.final_norm.epsilon, 1e-5);
  EXPECT_EQ(GqaOf(phi3.layers[0]).window, 0);
  EXPECT_FALSE(phi3.embed.tied_head);
}

TEST(Spec, FalconsOfAllAges) {
  const RawJson sizes = Minimal(R"({"model_type": "falcon", "hidden_size": 64, "vocab_size": 128,
      "num_attention_heads": 4, "num_hidden_layers": 1})");
  const Model seven = Read(sizes);
  EXPECT_EQ(seven.spec.layers[0].residual, Residual::kParallel);
  EXPECT_EQ(GqaOf(seven.spec.layers[0]).kv_heads, 1);
  EXPECT_EQ(MlpOf(seven.spec.layers[0]).size, 256);
  EXPECT_EQ(seven.names.FusedOf(Role::kQ)->groups, 1);
  EXPECT_EQ(seven.names.Weight(Role::kAttnNorm, 0), "transformer.h.0.input_layernorm.weight");

  RawJson old = sizes;  // as the first files said it
  old["model_type"] = "RefinedWeb";
  old["n_head"] = old["num_attention_heads"];
  old["n_layer"] = old["num_hidden_layers"];
  old["n_head_kv"] = 2;
  old.erase("num_attention_heads");
  old.erase("num_hidden_layers");
  const Model forty = Read(old);
  EXPECT_EQ(forty.spec.layers[0].residual, Residual::kParallelTwoNorms);
  EXPECT_EQ(GqaOf(forty.spec.layers[0]).kv_heads, 2);
  EXPECT_EQ(forty.names.FusedOf(Role::kV)->groups, 2);
  EXPECT_EQ(forty.names.Weight(Role::kFfnNorm, 0), "transformer.h.0.ln_mlp.weight");

  RawJson bad = sizes;
  bad["new_decoder_architecture"] = true;
  bad["parallel_attn"] = false;
  ErrorOf(bad, ErrorCode::kUnsupported);
  bad["parallel_attn"] = true;
  bad["num_kv_heads"] = 3;
  ErrorOf(bad, ErrorCode::kCorrupt);
}

// [q₀ q₁ k₀ v₀ | q₂ q₃ k₁ v₁] with heads of one row, and the parts one below the other.
TEST(FusedLinear, RowOrders) {
  const std::vector<int64_t> rows = {4, 2, 2};
  const FusedLinear blocked{{Role::kQ, Role::kK, Role::kV}, 1};
  const FusedLinear grouped{{Role::kQ, Role::kK, Role::kV}, 2};
  const auto all = [&](const FusedLinear& fused) {
    std::vector<int64_t> out;
    for (size_t part = 0; part < rows.size(); ++part) {
      for (int64_t r = 0; r < rows[part]; ++r) out.push_back(fused.Row(rows, part, r));
    }
    return out;
  };
  EXPECT_EQ(all(blocked), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(all(grouped), (std::vector<int64_t>{0, 1, 4, 5, 2, 6, 3, 7}));
}

TEST(Alibi, SlopesOfAnyNumberOfHeads) {
  EXPECT_EQ(AlibiSlopes(4, 1), (std::vector<float>{0.25f, 0.0625f, 0.015625f, 0.00390625f}));
  EXPECT_EQ(AlibiSlopes(6, 2),
            (std::vector<float>{0.5f, 0.125f, 0.03125f, 0.0078125f, 1.0f, 0.25f}));
}

RawJson DeepSeek() {
  return RawJson::parse(R"({"model_type": "deepseek_v3", "hidden_size": 64, "vocab_size": 128,
    "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 3,
    "intermediate_size": 96, "moe_intermediate_size": 32, "n_routed_experts": 8,
    "n_shared_experts": 2, "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2,
    "first_k_dense_replace": 1, "routed_scaling_factor": 2.5, "q_lora_rank": 24,
    "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12,
    "max_position_embeddings": 256, "rope_scaling": {"type": "yarn", "factor": 40,
    "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 64}})");
}

TEST(Arch, DeepSeekShapesAndNames) {
  const Model m = Read(DeepSeek());
  EXPECT_EQ(MlpOf(m.spec.layers[0]).size, 96);
  const auto& moe = std::get<MoeSpec>(m.spec.layers[1].ffn);
  EXPECT_EQ(moe.shared_size, 64);
  EXPECT_TRUE(moe.normalize);
  EXPECT_EQ(moe.group_rank, GroupRank::kTopTwo);
  EXPECT_EQ(LinearOf(m.spec, 1, Role::kQB).n, 4 * 24);
  EXPECT_EQ(LinearOf(m.spec, 1, Role::kKvA).n, 40);
  EXPECT_EQ(LinearOf(m.spec, 1, Role::kKvB).n, 4 * 28);
  EXPECT_EQ(LinearOf(m.spec, 1, {Role::kExpertDown, 7}).k, 32);
  EXPECT_FALSE(LinearOf(m.spec, 1, Role::kRouter).quantizable);
  EXPECT_EQ(m.names.Weight({Role::kExpertUp, 5}, 2), "model.layers.2.mlp.experts.5.up_proj.weight");
  EXPECT_EQ(m.names.Weight(Role::kRouterBias, 2),
            "model.layers.2.mlp.gate.e_score_correction_bias");
  EXPECT_EQ(KvBytesPerToken(m.spec, 2), 3 * 40 * 2);
  const auto& mla = std::get<MlaSpec>(m.spec.layers[0].attention);
  const double magnitude = 0.1 * std::log(40.0) + 1;
  EXPECT_NEAR(mla.scale, magnitude * magnitude / std::sqrt(24.0), 1e-12);
  EXPECT_TRUE(mla.rope.interleaved);
  EXPECT_FLOAT_EQ(mla.rope.Magnitude(), 1.0f);
}

TEST(Arch, ContradictoryExpertsAreNamed) {
  RawJson c = DeepSeek();
  c["num_experts_per_tok"] = 5;  // two groups of two
  EXPECT_NE(ErrorOf(c, ErrorCode::kCorrupt).find("at most 4, found 5"), std::string::npos);
  c = DeepSeek();
  c["n_group"] = 3;
  ErrorOf(c, ErrorCode::kCorrupt);
  c["n_group"] = 8;
  c["num_experts_per_tok"] = 2;
  EXPECT_NE(ErrorOf(c, ErrorCode::kCorrupt).find("two experts"), std::string::npos);
  c = DeepSeek();
  c["moe_layer_freq"] = 2;
  ErrorOf(c, ErrorCode::kUnsupported);
  c = DeepSeek();
  c["qk_rope_head_dim"] = 7;
  ErrorOf(c, ErrorCode::kCorrupt);
}

TEST(Rope, NewerFilesSayRopeParameters) {
  RawJson c = Llama();
  c["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 500000.0}};
  const RopeSpec rope = GqaOf(Read(c).spec.layers[0]).rope;
  EXPECT_EQ(rope.theta, 500000.0);
  const auto f = InverseFrequencies(rope, 0);
  ASSERT_EQ(f.size(), 8u);
  EXPECT_FLOAT_EQ(f[0], 0.25f);
  EXPECT_NEAR(f[1], std::pow(500000.0, -2.0 / 16) / 4, 1e-7);
}

}  // namespace
}  // namespace awq
