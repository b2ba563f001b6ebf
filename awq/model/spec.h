// ModelSpec: an architecture as data. Layers are built from it, scale edges derived from it.
// Letters: D hidden, H query heads, G kv heads, d head size, F ffn size, V vocabulary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "awq/model/roles.h"
#include "awq/model/rope.h"

namespace awq {

enum class NormType { kRms };
struct NormSpec {
  NormType type = NormType::kRms;
  double epsilon = 1e-5;
};

enum class QkNorm { kNone, kPerHead };

struct GqaSpec {
  int64_t heads = 0;      // H
  int64_t kv_heads = 0;   // G
  int64_t head_size = 0;  // d
  bool qkv_bias = false;
  bool o_bias = false;
  QkNorm qk_norm = QkNorm::kNone;
  int64_t window = 0;  // a query at p sees (p - window, p]; 0: everything before it
  double scale = 0;    // of q·k
  RopeSpec rope;
};

enum class FfnActivation { kSilu, kGelu, kGeluTanh, kRelu };
struct MlpSpec {
  int64_t size = 0;  // F
  FfnActivation activation = FfnActivation::kSilu;
  bool bias = false;
};

// x += attention(norm(x)); x += mlp(norm(x)).
struct LayerSpec {
  NormSpec norm;
  GqaSpec attention;
  MlpSpec mlp;
};

struct EmbedSpec {
  bool tied_head = false;  // the head is the embedding table
};

struct ModelSpec {
  std::string arch;  // config.json's model_type
  int64_t hidden = 0;
  int64_t vocab = 0;
  int64_t context = 0;  // max_position_embeddings
  EmbedSpec embed;
  std::vector<LayerSpec> layers;
  NormSpec final_norm;

  int64_t num_layers() const { return static_cast<int64_t>(layers.size()); }
};

// The shape of one linear of a layer, and whether it carries a bias.
struct LinearShape {
  Role role;
  int64_t n = 0;
  int64_t k = 0;
  bool bias = false;
};
// The linears of a layer in the order in which they are computed: q, k, v, o, gate, up, down.
std::vector<LinearShape> LayerLinears(const ModelSpec& model, int64_t layer);
LinearShape LinearOf(const ModelSpec& model, int64_t layer, Role role);

// The norm weights of a layer.
struct VectorShape {
  Role role;
  int64_t size = 0;
};
std::vector<VectorShape> LayerVectors(const ModelSpec& model, int64_t layer);

// Parameters of the whole model; a tied head counts once.
int64_t CountParameters(const ModelSpec& model);
// Bytes of keys and values per token over all layers, for elements of `bytes` bytes. Windows
// ignored.
int64_t KvBytesPerToken(const ModelSpec& model, int64_t bytes);

}  // namespace awq
