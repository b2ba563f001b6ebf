// Inspect: what a checkpoint is made of, from its configuration and headers alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace awq {

// Tensors of one stored type.
struct TypeShare {
  std::string type;  // as safetensors names it: "BF16", "I32", …
  int64_t tensors = 0;
  int64_t bytes = 0;
};

struct TensorInfo {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;
  int64_t bytes = 0;
  std::string file;
};

struct InspectReport {
  std::string architecture;  // config.json's model_type
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t heads = 0;  // of the last layer, as the two that follow
  int64_t kv_heads = 0;
  int64_t head_size = 0;       // of queries and keys
  int64_t latent = 0;          // elements cached a token under latent attention (MLA); 0: none is
  int64_t ffn = 0;             // of the first dense layer; 0: there is none
  int64_t moe_layers = 0;      // layers with routed experts
  int64_t experts = 0;         // of such a layer
  int64_t active_experts = 0;  // that one token goes to
  int64_t expert_ffn = 0;      // of one expert
  int64_t window = 0;  // tokens of the narrowest attention window of any layer; 0: none has one
  int64_t vocabulary = 0;
  bool tied_head = false;
  int64_t max_context = 0;  // tokens
  int64_t parameters = 0;   // a tied head counts once

  std::string format;  // "awq_gemm", "compressed-tensors", or "dense"
  int bits = 0;        // of the quantized linears; 0 when dense
  int64_t group = 0;   // inputs that share a scale; -1: a whole row
  bool symmetric = false;
  int64_t quantized_linears = 0;
  std::vector<std::string> skipped;   // modules that a quantized checkpoint keeps in 16 bits
  double bits_per_weight = 0;         // of all parameters
  double linear_bits_per_weight = 0;  // of the linears of the layers, scales and zeros included

  int64_t file_bytes = 0;  // tensor data
  std::vector<TypeShare> types;
  std::vector<TensorInfo> tensors;  // sorted by name

  int64_t context = 0;       // tokens, for which memory is stated
  int64_t weight_bytes = 0;  // in memory, about
  int64_t kv_bytes = 0;      // keys and values of one sequence of that length, 16-bit
};

// context: tokens; 0: the model's longest. Reads no tensor data. Throws kNotFound, kCorrupt,
// kUnsupported, kInvalidArgument (context).
InspectReport Inspect(const std::filesystem::path& model, int64_t context = 0);

}  // namespace awq
