// ModelSpec: an architecture as data. Layers are built from it, scale edges derived from it.
// Letters: D hidden, H query heads, G kv heads, d head size, F ffn size, E experts, V vocabulary.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "awq/base/error.h"
#include "awq/model/roles.h"
#include "awq/model/rope.h"

namespace awq {

enum class NormType { kNone, kRms, kLayer };
struct NormSpec {
  NormType type = NormType::kRms;
  double epsilon = 1e-5;
  bool affine = true;  // has a weight
  bool bias = false;
  double offset = 0;  // of the weight over what is stored: Gemma's norms multiply by 1 + w
};

enum class QkNorm { kNone, kPerHead };

struct GqaSpec {
  int64_t heads = 0;      // H
  int64_t kv_heads = 0;   // G
  int64_t head_size = 0;  // d
  bool qkv_bias = false;
  bool o_bias = false;
  QkNorm qk_norm = QkNorm::kNone;
  int64_t window = 0;    // a query at p sees (p - window, p]; 0: everything before it
  double scale = 0;      // of q·k
  double softcap = 0;    // c: scores become c · tanh(score / c); 0: they stay
  double alibi = 0;      // factor of ALiBi's slopes (arXiv:2108.12409); 0: none
  double qkv_limit = 0;  // q, k and v are clamped to ± it; 0: they are not
  RopeSpec rope;         // none when no element rotates
};
// ALiBi's slopes of all heads [H], as trained models have them when H is no power of two.
std::vector<float> AlibiSlopes(int64_t heads, double factor);

// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): keys and values of all heads are
// linear functions of one latent vector a token, which the cache holds beside one rotated key that
// all heads share.
struct MlaSpec {
  int64_t heads = 0;      // H
  int64_t q_rank = 0;     // of the queries' own latent vector; 0: q is one linear
  int64_t kv_rank = 0;    // of the latent vector
  int64_t nope_size = 0;  // elements of a query or key head that do not rotate
  int64_t rope_size = 0;  // those that do
  int64_t v_size = 0;     // elements of a value head
  bool bias = false;      // of q_a, kv_a and o
  double scale = 0;       // of q·k
  NormSpec norm;          // of the latent vectors
  RopeSpec rope;

  int64_t qk_size() const { return nope_size + rope_size; }
  int64_t latent_size() const { return kv_rank + rope_size; }  // cached a token
};

enum class FfnActivation { kSilu, kGelu, kGeluTanh, kRelu };
struct MlpSpec {
  int64_t size = 0;  // F
  FfnActivation activation = FfnActivation::kSilu;
  bool gated = true;  // down(activation(gate(x)) · up(x)), else down(activation(up(x)))
  bool bias = false;
};

enum class RouterScore { kSoftmax, kSigmoid };
// How a group of experts is ranked: by its best expert, or by the sum of its two best.
enum class GroupRank { kMax, kTopTwo };
struct MoeSpec {
  int64_t experts = 0;  // E
  int64_t active = 0;   // experts a token goes to
  int64_t size = 0;     // F of one expert
  FfnActivation activation = FfnActivation::kSilu;
  RouterScore score = RouterScore::kSoftmax;
  bool bias_correction = false;  // a bias an expert that takes part in the choice alone
  bool normalize = true;         // the chosen experts' weights sum to 1
  double weight_scale = 1;       // of the chosen experts' weights
  int64_t groups = 1;            // of experts, of which active_groups are chosen first
  int64_t active_groups = 1;
  GroupRank group_rank = GroupRank::kMax;
  int64_t shared_size = 0;   // F of the expert that every token goes to; 0: none
  bool shared_gate = false;  // whose output is multiplied by the sigmoid of a linear of its own
  bool operator==(const MoeSpec&) const = default;
};

// n, m: the norms of attention and feed-forward part, p, r: norms of what they give.
enum class Residual {
  kSequential,        // x += attention(n(x)); x += ffn(m(x))
  kSandwich,          // x += p(attention(n(x))); x += r(ffn(m(x)))
  kParallel,          // x += attention(n(x)) + ffn(n(x))
  kParallelTwoNorms,  // x += attention(n(x)) + ffn(m(x))
  kPost,              // x = n(x + attention(x)); x = m(x + ffn(x))
};
inline bool IsParallel(Residual r) {
  return r == Residual::kParallel || r == Residual::kParallelTwoNorms;
}

struct LayerSpec {
  Residual residual = Residual::kSequential;
  double residual_scale = 1;  // of what attention and feed-forward part add
  NormSpec norm;
  std::variant<GqaSpec, MlaSpec> attention;
  std::variant<MlpSpec, MoeSpec> ffn;
};
// The alternative that a layer is known to have; kInternal if it has the other.
template <typename T, typename Variant>
auto& Known(Variant& part) {
  auto* known = std::get_if<T>(&part);
  AWQ_CHECK(known != nullptr, kInternal, "a layer of another kind was expected");
  return *known;
}
inline GqaSpec& GqaOf(LayerSpec& layer) { return Known<GqaSpec>(layer.attention); }
inline const GqaSpec& GqaOf(const LayerSpec& layer) { return Known<GqaSpec>(layer.attention); }
inline const RopeSpec& RopeOf(const LayerSpec& layer) {
  return std::visit([](const auto& a) -> const RopeSpec& { return a.rope; }, layer.attention);
}
inline MlpSpec& MlpOf(LayerSpec& layer) { return Known<MlpSpec>(layer.ffn); }
inline const MlpSpec& MlpOf(const LayerSpec& layer) { return Known<MlpSpec>(layer.ffn); }

// x = norm(project(table[token]) · scale) + positions[position + offset].
struct EmbedSpec {
  bool tied_head = false;  // the head is the embedding table
  int64_t size = 0;        // E, of the table's rows, which a projection brings to D; 0: D
  double scale = 1;
  NormSpec norm = {.type = NormType::kNone};
  int64_t positions = 0;        // rows of a table of positions; 0: none
  int64_t position_offset = 0;  // the row of position 0
};

// logits = cap(head(project(norm(x))) · scale).
struct HeadSpec {
  bool bias = false;
  double scale = 1;
  double softcap = 0;            // c: logits become c · tanh(logit / c); 0: they stay
  bool normalized_rows = false;  // each row of the weight is divided by its length
};

struct ModelSpec {
  std::string arch;  // config.json's model_type
  int64_t hidden = 0;
  int64_t vocab = 0;
  int64_t context = 0;  // max_position_embeddings
  EmbedSpec embed;
  std::vector<LayerSpec> layers;
  NormSpec final_norm;
  HeadSpec head;

  int64_t embed_size() const { return embed.size > 0 ? embed.size : hidden; }
  bool has_projections() const { return embed_size() != hidden; }
  int64_t num_layers() const { return static_cast<int64_t>(layers.size()); }
};

// The shape of one linear of a layer, and whether it carries a bias.
struct LinearShape {
  LinearId id;
  int64_t n = 0;
  int64_t k = 0;
  bool bias = false;
  bool quantizable = true;  // routers are not: a little noise sends tokens to other experts
  bool operator==(const LinearShape&) const = default;
};
// The linears of a layer in the order in which they are computed: q, k, v, o, gate, up, down.
std::vector<LinearShape> LayerLinears(const ModelSpec& model, int64_t layer);
// Those that are quantized.
std::vector<LinearShape> QuantizableLinears(const ModelSpec& model, int64_t layer);
LinearShape LinearOf(const ModelSpec& model, int64_t layer, LinearId id);

// The norm weights of a layer.
struct VectorShape {
  Role role;
  int64_t size = 0;
  bool bias = false;
  double offset = 0;  // see NormSpec
};
VectorShape ShapeOf(Role role, int64_t size, const NormSpec& norm);
// Those that belong to no layer.
std::vector<VectorShape> OtherVectors(const ModelSpec& model);
std::vector<VectorShape> LayerVectors(const ModelSpec& model, int64_t layer);

// Parameters of the whole model; a tied head counts once.
int64_t CountParameters(const ModelSpec& model);
// Bytes of keys and values per token over all layers, for elements of `bytes` bytes. Windows
// ignored.
int64_t KvBytesPerToken(const ModelSpec& model, int64_t bytes);

}  // namespace awq
