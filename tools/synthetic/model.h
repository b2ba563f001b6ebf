// The shapes of real models, and the config.json of each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "awq/base/json.h"
#include "awq/base/tensor.h"

namespace awq::synthetic {

// Weights of linears.
struct Weights {
  int bits = 4;  // 8, or 16 as all else
  int64_t group = 128;
  bool symmetric = false;

  // Written as compressed-tensors, else as awq_gemm.
  bool packed_by_inputs() const { return symmetric || bits == 8; }
};

struct Model {
  std::string_view name;
  std::string_view type;  // model_type
  int64_t hidden, layers, heads, kv_heads, ffn, vocab, context;
  double theta;
  int64_t head_size = hidden / heads;
  int64_t window = 0;   // of the layers that have one, by type
  int64_t experts = 0;  // of `ffn` each; 0: one dense part
  int64_t active = 0;
  int64_t shared = 0;   // experts that every token goes to
  int64_t kv_rank = 0;  // latent attention: the size of what is cached beside `head_size` of
                        // positions; heads of kLatentHead + `head_size`, values of kLatentHead
  int64_t q_rank = 0;   // of its queries; 0: they are computed in one step
  int64_t groups = 0;   // of experts, of which three are looked at

  bool is_mixtral() const { return type == "mixtral"; }
  bool is_mpt() const { return type == "mpt"; }
  bool is_phi3() const { return type == "phi3"; }
  bool has_sandwich_norms() const { return type.starts_with("gemma"); }
  bool has_norms_of_heads() const { return type.starts_with("qwen3") || is_gemma3(); }
  bool is_gemma3() const { return type == "gemma3_text"; }
  bool is_tied() const;  // head and embeddings are one
  bool has_biases_of_qkv() const { return type == "qwen2"; }
};
inline constexpr int64_t kLatentHead = 128;  // of a head without its positions

std::span<const Model> Models();
// type: of all that is not quantized.
RawJson Config(const Model& model, const Weights& weights, DType type);

}  // namespace awq::synthetic
