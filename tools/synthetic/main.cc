// awq_synthetic SHAPE OUT [--8bit|--dense|--bf16] [--layers N] [--one-layer]: a checkpoint with the
// shapes of a real model and random weights, for measuring speed and memory where nothing can be
// downloaded. 4 bits as awq_gemm, groups of 128, zero points; with --8bit 8 bits as
// compressed-tensors, groups of 128, symmetric; with --dense in F16, with --bf16 in BF16. --one-layer leaves out the weights of all layers but the first, for `awq bench
// --same-layers`. Without a tokenizer: `awq bench` needs none.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "awq/base/file.h"
#include "awq/base/json.h"
#include "awq/checkpoint/shard_writer.h"

namespace awq {
namespace {

struct Model {
  const char* name;
  const char* type;  // model_type
  int64_t hidden, layers, heads, kv_heads, ffn, vocab, context;
  double theta;
  int64_t head_size = hidden / heads;
  int64_t experts = 0;  // of `ffn` each; 0: one dense part
  int64_t active = 0;
  int64_t shared = 0;   // experts that every token goes to
  int64_t kv_rank = 0;  // latent attention: the size of what is cached beside `head_size` of
                        // positions; heads of 128 + `head_size`, values of 128
  int64_t q_rank = 0;   // of its queries; 0: they are computed in one step
  int64_t groups = 0;   // of experts, of which three are looked at

  bool is_mixtral() const { return std::strcmp(type, "mixtral") == 0; }
};
constexpr Model kModels[] = {
    {"llama-3.2-1b", "llama", 2048, 16, 32, 8, 8192, 128256, 8192, 5e5},
    {"tinyllama-1.1b", "llama", 2048, 22, 32, 4, 5632, 32000, 2048, 1e4},
    {"llama-3-8b", "llama", 4096, 32, 32, 8, 14336, 128256, 8192, 5e5},
    {"mistral-7b", "mistral", 4096, 32, 32, 8, 14336, 32000, 32768, 1e4},
    {"llama-2-13b", "llama", 5120, 40, 40, 40, 13824, 32000, 4096, 1e4},
    {"llama-2-70b", "llama", 8192, 80, 64, 8, 28672, 32000, 4096, 1e4},
    {"qwen3-30b-a3b", "qwen3_moe", 2048, 48, 32, 4, 768, 151936, 40960, 1e6, 128, 128, 8},
    {"mixtral-8x7b", "mixtral", 4096, 32, 32, 8, 14336, 32000, 32768, 1e6, 128, 8, 2},
    // Their first layer is dense; here all layers are as the others.
    {"deepseek-v2-lite", "deepseek_v2", 2048, 27, 16, 16, 1408, 102400, 32768, 1e4, 64, 64, 6, 2,
     512},
    {"deepseek-v2", "deepseek_v2", 5120, 60, 128, 128, 1536, 102400, 32768, 1e4, 64, 160, 6, 2, 512,
     1536, 8},
};

constexpr int64_t kLatentHead = 128;  // of a head without its positions

uint64_t Next(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// 64 random bits at a time, kept where `mask` has ones, the rest from `base`.
Tensor Random(DType type, const Shape& shape, uint64_t mask, uint64_t base, uint64_t& state) {
  Tensor out = MakeTensor(type, shape);
  const int64_t words = out.view().NumBytes() / 8;
  auto* data = out.As<uint64_t>();
  for (int64_t i = 0; i < words; ++i) data[i] = (Next(state) & mask) | base;
  return out;
}
// ±[2^e, 2^(e+1)).
Tensor RandomF16(const Shape& shape, int exponent, uint64_t& state) {
  const auto field = static_cast<uint64_t>(exponent + 15) << 10;
  return Random(DType::kF16, shape, 0x83ff83ff83ff83ffu, field * 0x0001000100010001u, state);
}
Tensor RandomBf16(const Shape& shape, int exponent, uint64_t& state) {
  const auto field = static_cast<uint64_t>(exponent + 127) << 7;
  return Random(DType::kBF16, shape, 0x807f807f807f807fu, field * 0x0001000100010001u, state);
}
Tensor RandomFloats(DType type, const Shape& shape, int exponent, uint64_t& state) {
  return type == DType::kBF16 ? RandomBf16(shape, exponent, state)
                              : RandomF16(shape, exponent, state);
}
Tensor Ones(DType type, int64_t size) {
  Tensor out = MakeTensor(type, {size});
  for (int64_t i = 0; i < size; ++i) StoreFloat(out.view(), i, 1.0f);
  return out;
}

Tensor RandomScales(const Shape& shape, int exponent, uint64_t& state) {
  Tensor scales = RandomF16(shape, exponent, state);
  for (uint16_t& bits : scales.Span<uint16_t>()) bits &= 0x7fff;
  return scales;
}

// Of linears; 16 bits as all else.
enum class Bits { k4, k8, k16 };

// Weights of about 1/√K, so that activations keep their size.
std::vector<NamedTensor> RandomLinear(const std::string& name, int64_t n, int64_t k, Bits bits,
                                      DType type, uint64_t& state) {
  const int exponent = std::ilogb(1.0 / std::sqrt(static_cast<double>(k)));
  std::vector<NamedTensor> out;
  if (bits == Bits::k16) {
    out.push_back({name + ".weight", RandomFloats(type, {n, k}, exponent, state)});
    return out;
  }
  if (bits == Bits::k8) {
    Tensor shape = MakeTensor(DType::kI64, {2});
    shape.Span<int64_t>()[0] = n;
    shape.Span<int64_t>()[1] = k;
    out.push_back({name + ".weight_packed", Random(DType::kI32, {n, k / 4}, ~uint64_t{0}, 0, state)});
    out.push_back({name + ".weight_scale", RandomScales({n, k / 128}, exponent - 7, state)});
    out.push_back({name + ".weight_shape", std::move(shape)});
    return out;
  }
  out.push_back({name + ".qweight", Random(DType::kI32, {k, n / 8}, ~uint64_t{0}, 0, state)});
  out.push_back({name + ".qzeros", Random(DType::kI32, {k / 128, n / 8}, 0x0808080808080808u,
                                          0x7070707070707070u, state)});
  out.push_back({name + ".scales", RandomScales({k / 128, n}, exponent - 3, state)});
  return out;
}

RawJson Config(const Model& m, Bits bits, DType type) {
  RawJson c = {
      {"model_type", m.type},
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
      {"hidden_act", "silu"},
      {"tie_word_embeddings", false},
      {"torch_dtype", type == DType::kBF16 ? "bfloat16" : "float16"}};
  if (m.experts > 0) {
    c[m.is_mixtral() ? "num_local_experts" : "num_experts"] = m.experts;
    c["num_experts_per_tok"] = m.active;
    c["moe_intermediate_size"] = m.ffn;
    c["norm_topk_prob"] = true;
  }
  if (m.kv_rank > 0) {
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
  if (bits == Bits::k8) {
    const RawJson weights = {{"num_bits", 8},   {"type", "int"},        {"symmetric", true},
                             {"group_size", 128}, {"strategy", "group"}, {"dynamic", false}};
    const RawJson group = {{"targets", {"Linear"}}, {"weights", weights}};
    c["quantization_config"] = {{"quant_method", "compressed-tensors"},
                                {"format", "pack-quantized"},
                                {"quantization_status", "compressed"},
                                {"config_groups", {{"group_0", group}}},
                                {"ignore", {"lm_head"}}};
  }
  if (bits == Bits::k4) {
    c["quantization_config"] = {{"quant_method", "awq"},
                                {"version", "gemm"},
                                {"bits", 4},
                                {"group_size", 128},
                                {"zero_point", true}};
  }
  return c;
}

class Writer {
 public:
  Writer(const Model& m, const std::string& folder, Bits bits, DType type)
      : m_(m),
        bits_(bits),
        type_(type),
        output_{folder},
        shards_(output_.path(), int64_t{5} << 30, {}) {}

  // The first `layers` layers.
  void Write(int64_t layers) {
    Table("model.embed_tokens.weight");
    for (int64_t l = 0; l < layers; ++l) Layer(Cat("model.layers.", l, "."));
    Norm("model.norm.weight", m_.hidden);
    Table("lm_head.weight");
    shards_.Finish();
    WriteFileAtomically(output_.path() / "config.json", Config(m_, bits_, type_).dump(1) + "\n");
    output_.Commit();
  }
  int64_t bytes() const { return shards_.total_bytes(); }

 private:
  void Table(const std::string& name) {
    shards_.Write(name, RandomFloats(type_, {m_.vocab, m_.hidden}, -6, state_).view());
  }
  void Norm(const std::string& name, int64_t size) { shards_.Write(name, Ones(type_, size).view()); }
  void Linear(const std::string& name, int64_t n, int64_t k) {
    shards_.Write(RandomLinear(name, n, k, bits_, type_, state_));
  }
  void Mlp(const std::string& mlp, int64_t size) {
    const bool numbered = m_.is_mixtral();
    Linear(mlp + (numbered ? "w1" : "gate_proj"), size, m_.hidden);
    Linear(mlp + (numbered ? "w3" : "up_proj"), size, m_.hidden);
    Linear(mlp + (numbered ? "w2" : "down_proj"), m_.hidden, size);
  }
  void Latent(const std::string& attention) {
    const int64_t queries = m_.heads * (kLatentHead + m_.head_size);
    if (m_.q_rank > 0) {
      Linear(attention + "q_a_proj", m_.q_rank, m_.hidden);
      Norm(attention + "q_a_layernorm.weight", m_.q_rank);
      Linear(attention + "q_b_proj", queries, m_.q_rank);
    } else {
      Linear(attention + "q_proj", queries, m_.hidden);
    }
    Linear(attention + "kv_a_proj_with_mqa", m_.kv_rank + m_.head_size, m_.hidden);
    Norm(attention + "kv_a_layernorm.weight", m_.kv_rank);
    Linear(attention + "kv_b_proj", m_.heads * 2 * kLatentHead, m_.kv_rank);
    Linear(attention + "o_proj", m_.hidden, m_.heads * kLatentHead);
  }
  void Layer(const std::string& layer) {
    const std::string attention = layer + "self_attn.";
    if (m_.kv_rank > 0) {
      Latent(attention);
    } else {
      Linear(attention + "q_proj", m_.heads * m_.head_size, m_.hidden);
      Linear(attention + "k_proj", m_.kv_heads * m_.head_size, m_.hidden);
      Linear(attention + "v_proj", m_.kv_heads * m_.head_size, m_.hidden);
      Linear(attention + "o_proj", m_.hidden, m_.heads * m_.head_size);
    }
    const std::string ffn = layer + (m_.is_mixtral() ? "block_sparse_moe." : "mlp.");
    if (m_.experts > 0) {
      if (!m_.is_mixtral() && m_.kv_rank == 0) {
        Norm(attention + "q_norm.weight", m_.head_size);
        Norm(attention + "k_norm.weight", m_.head_size);
      }
      shards_.Write(ffn + "gate.weight",
                    RandomFloats(type_, {m_.experts, m_.hidden}, -6, state_).view());
    } else {
      Mlp(ffn, m_.ffn);
    }
    for (int64_t e = 0; e < m_.experts; ++e) Mlp(Cat(ffn, "experts.", e, "."), m_.ffn);
    if (m_.shared > 0) Mlp(ffn + "shared_experts.", m_.shared * m_.ffn);
    Norm(layer + "input_layernorm.weight", m_.hidden);
    Norm(layer + "post_attention_layernorm.weight", m_.hidden);
  }

  const Model& m_;
  Bits bits_;
  DType type_;
  OutputFolder output_;
  ShardWriter shards_;
  uint64_t state_ = 88172645463325252u;
};

int Run(int argc, char** argv) {
  Bits bits = Bits::k4;
  DType type = DType::kF16;
  int64_t layers = 0;
  bool one_layer = false;
  bool good = argc >= 3;
  for (int i = 3; good && i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--layers" && i + 1 < argc) {
      layers = std::atoll(argv[++i]);
      good = layers > 0;
    } else if (flag == "--one-layer") {
      one_layer = true;
    } else {
      good = flag == "--8bit" || flag == "--dense" || flag == "--bf16";
      bits = flag == "--8bit" ? Bits::k8 : Bits::k16;
      if (flag == "--bf16") type = DType::kBF16;
    }
  }
  for (Model m : kModels) {
    if (!good || std::strcmp(m.name, argv[1]) != 0) continue;
    if (layers > 0) m.layers = layers;
    Writer writer(m, argv[2], bits, type);
    writer.Write(one_layer ? 1 : m.layers);
    std::printf("%s: %.2f GB in %s\n", m.name, static_cast<double>(writer.bytes()) / 1e9, argv[2]);
    return 0;
  }
  std::fprintf(stderr,
               "usage: awq_synthetic SHAPE OUT [--8bit|--dense|--bf16] [--layers N] [--one-layer]\n"
               "shapes:");
  for (const Model& m : kModels) std::fprintf(stderr, " %s", m.name);
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace
}  // namespace awq

int main(int argc, char** argv) {
  try {
    return awq::Run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "awq_synthetic: %s\n", e.what());
    return 1;
  }
}
