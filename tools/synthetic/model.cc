#include "tools/synthetic/model.h"

#include <algorithm>
#include <iterator>

namespace awq::synthetic {
namespace {

constexpr Model kModels[] = {
    {"llama-3.2-1b", "llama", 2048, 16, 32, 8, 8192, 128256, 8192, 5e5},
    {"tinyllama-1.1b", "llama", 2048, 22, 32, 4, 5632, 32000, 2048, 1e4},
    {"llama-3-8b", "llama", 4096, 32, 32, 8, 14336, 128256, 8192, 5e5},
    {"mistral-7b", "mistral", 4096, 32, 32, 8, 14336, 32000, 32768, 1e4},
    {"mistral-small-24b", "mistral", 5120, 40, 32, 8, 32768, 131072, 32768, 1e8, 128},
    {"llama-2-13b", "llama", 5120, 40, 40, 40, 13824, 32000, 4096, 1e4},
    {"llama-2-70b", "llama", 8192, 80, 64, 8, 28672, 32000, 4096, 1e4},
    {"qwen2.5-1.5b", "qwen2", 1536, 28, 12, 2, 8960, 151936, 32768, 1e6},
    {"qwen2.5-7b", "qwen2", 3584, 28, 28, 4, 18944, 152064, 32768, 1e6},
    {"qwen2.5-14b", "qwen2", 5120, 48, 40, 8, 13824, 152064, 32768, 1e6},
    {"qwen2.5-32b", "qwen2", 5120, 64, 40, 8, 27648, 152064, 32768, 1e6},
    {"qwen3-8b", "qwen3", 4096, 36, 32, 8, 12288, 151936, 40960, 1e6},
    {"qwen3-32b", "qwen3", 5120, 64, 64, 8, 25600, 151936, 40960, 1e6, 128},
    {"gemma-2-9b", "gemma2", 3584, 42, 16, 8, 14336, 256000, 8192, 1e4, 256, 4096},
    {"gemma-2-27b", "gemma2", 4608, 46, 32, 16, 36864, 256000, 8192, 1e4, 128, 4096},
    {"gemma-3-12b", "gemma3_text", 3840, 48, 16, 8, 15360, 262208, 131072, 1e6, 256, 1024},
    {"gemma-3-27b", "gemma3_text", 5376, 62, 32, 16, 21504, 262208, 131072, 1e6, 128, 1024},
    {"phi-3-mini", "phi3", 3072, 32, 32, 32, 8192, 32064, 4096, 1e4, 96, 2047},
    {"phi-4", "phi3", 5120, 40, 40, 10, 17920, 100352, 16384, 25e4},
    {"mpt-7b", "mpt", 4096, 32, 32, 32, 16384, 50432, 2048, 1e4},
    {"qwen3-30b-a3b", "qwen3_moe", 2048, 48, 32, 4, 768, 151936, 40960, 1e6, 128, 0, 128, 8},
    {"mixtral-8x7b", "mixtral", 4096, 32, 32, 8, 14336, 32000, 32768, 1e6, 128, 0, 8, 2},
    // Their first layer is dense; here all layers are as the others.
    {"deepseek-v2-lite", "deepseek_v2", 2048, 27, 16, 16, 1408, 102400, 32768, 1e4, 64, 0, 64, 6, 2,
     512},
    {"deepseek-v2", "deepseek_v2", 5120, 60, 128, 128, 1536, 102400, 32768, 1e4, 64, 0, 160, 6, 2,
     512, 1536, 8},
};

// Besides those that are by their type.
constexpr std::string_view kTied[] = {"llama-3.2-1b", "qwen2.5-1.5b"};

void AddExperts(const Model& m, RawJson& c) {
  c[m.is_mixtral() ? "num_local_experts" : "num_experts"] = m.experts;
  c["num_experts_per_tok"] = m.active;
  c["moe_intermediate_size"] = m.ffn;
  c["norm_topk_prob"] = m.kv_rank == 0;
}
void AddLatent(const Model& m, RawJson& c) {
  c["n_routed_experts"] = m.experts;
  c["n_shared_experts"] = m.shared;
  c["first_k_dense_replace"] = 0;
  c["kv_lora_rank"] = m.kv_rank;
  if (m.q_rank > 0) c["q_lora_rank"] = m.q_rank;
  c["qk_nope_head_dim"] = kLatentHead;
  c["qk_rope_head_dim"] = m.head_size;
  c["v_head_dim"] = kLatentHead;
  c["topk_method"] = m.groups > 0 ? "group_limited_greedy" : "greedy";
  if (m.groups > 0) {
    c["n_group"] = m.groups;
    c["topk_group"] = 3;
  }
}
RawJson MptConfig(const Model& m) {
  return {{"model_type", m.type},       {"d_model", m.hidden},
          {"n_layers", m.layers},       {"n_heads", m.heads},
          {"vocab_size", m.vocab},      {"max_seq_len", m.context},
          {"expansion_ratio", 4},       {"no_bias", true},
          {"attn_config", {{"alibi", true}}}};
}
RawJson CommonConfig(const Model& m) {
  RawJson c = {{"model_type", m.type},
               {"hidden_size", m.hidden},
               {"num_hidden_layers", m.layers},
               {"num_attention_heads", m.heads},
               {"num_key_value_heads", m.kv_heads},
               {"head_dim", m.head_size},
               {"intermediate_size", m.ffn},
               {"vocab_size", m.vocab},
               {"max_position_embeddings", m.context},
               {"rope_theta", m.theta},
               {"rms_norm_eps", 1e-5},
               {"tie_word_embeddings", m.is_tied()}};
  if (!m.has_sandwich_norms()) c["hidden_act"] = "silu";
  if (m.window > 0) c["sliding_window"] = m.window;
  if (m.is_gemma3()) c["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  if (m.has_sandwich_norms()) {  // the largest are scaled as if heads were of another size
    c["query_pre_attn_scalar"] = m.head_size == 128 ? m.hidden / m.heads : m.head_size;
  }
  if (m.experts > 0) AddExperts(m, c);
  if (m.kv_rank > 0) AddLatent(m, c);
  return c;
}

RawJson Quantization(const Weights& w) {
  if (!w.packed_by_inputs()) {
    return {{"quant_method", "awq"},
            {"version", "gemm"},
            {"bits", w.bits},
            {"group_size", w.group},
            {"zero_point", true}};
  }
  const RawJson weights = {{"num_bits", w.bits},     {"type", "int"},        {"symmetric", true},
                           {"group_size", w.group}, {"strategy", "group"}, {"dynamic", false}};
  const RawJson group = {{"targets", {"Linear"}}, {"weights", weights}};
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"config_groups", {{"group_0", group}}},
          {"ignore", {"lm_head"}}};
}

}  // namespace

std::span<const Model> Models() { return kModels; }

bool Model::is_tied() const {
  return has_sandwich_norms() || is_mpt() || std::ranges::find(kTied, name) != std::end(kTied);
}

RawJson Config(const Model& m, const Weights& weights, DType type) {
  RawJson c = m.is_mpt() ? MptConfig(m) : CommonConfig(m);
  c["torch_dtype"] = type == DType::kBF16 ? "bfloat16" : "float16";
  if (weights.bits < 16) c["quantization_config"] = Quantization(weights);
  return c;
}

}  // namespace awq::synthetic
