#include "tools/synthetic/writer.h"

#include <cmath>
#include <utility>
#include <vector>

#include "awq/base/file.h"
#include "awq/checkpoint/shard_writer.h"

namespace awq::synthetic {
namespace {

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
Tensor Filled(DType type, int64_t size, float value) {
  Tensor out = MakeTensor(type, {size});
  for (int64_t i = 0; i < size; ++i) StoreFloat(out.view(), i, value);
  return out;
}

Tensor RandomScales(const Shape& shape, int exponent, uint64_t& state) {
  Tensor scales = RandomF16(shape, exponent, state);
  for (uint16_t& bits : scales.Span<uint16_t>()) bits &= 0x7fff;
  return scales;
}

// Weights of about 1/√K, so that activations keep their size.
std::vector<NamedTensor> RandomLinear(const std::string& name, int64_t n, int64_t k,
                                      const Weights& w, DType type, uint64_t& state) {
  const int exponent = std::ilogb(1.0 / std::sqrt(static_cast<double>(k)));
  std::vector<NamedTensor> out;
  if (w.bits == 16) {
    out.push_back({name + ".weight", RandomFloats(type, {n, k}, exponent, state)});
    return out;
  }
  const int64_t codes = 32 / w.bits;  // of a word
  if (w.packed_by_inputs()) {
    Tensor shape = MakeTensor(DType::kI64, {2});
    shape.Span<int64_t>()[0] = n;
    shape.Span<int64_t>()[1] = k;
    const int scale_exponent = exponent - (w.bits == 8 ? 7 : 3);
    out.push_back(
        {name + ".weight_packed", Random(DType::kI32, {n, k / codes}, ~uint64_t{0}, 0, state)});
    out.push_back({name + ".weight_scale", RandomScales({n, k / w.group}, scale_exponent, state)});
    out.push_back({name + ".weight_shape", std::move(shape)});
    return out;
  }
  out.push_back({name + ".qweight", Random(DType::kI32, {k, n / codes}, ~uint64_t{0}, 0, state)});
  out.push_back({name + ".qzeros", Random(DType::kI32, {k / w.group, n / codes},
                                          0x0808080808080808u, 0x7070707070707070u, state)});
  out.push_back({name + ".scales", RandomScales({k / w.group, n}, exponent - 3, state)});
  return out;
}

class Writer {
 public:
  Writer(const Model& m, const std::string& folder, const Weights& weights, DType type)
      : m_(m),
        weights_(weights),
        type_(type),
        output_{folder},
        shards_(output_.path(), int64_t{5} << 30, {}) {}

  // The first `layers` layers.
  void Write(int64_t layers) {
    const bool mpt = m_.is_mpt();
    Table(mpt ? "transformer.wte.weight" : "model.embed_tokens.weight");
    for (int64_t l = 0; l < layers; ++l) {
      if (mpt) {
        MptLayer(Cat("transformer.blocks.", l, "."));
      } else {
        Layer(Cat("model.layers.", l, "."));
      }
    }
    Norm(mpt ? "transformer.norm_f" : "model.norm", m_.hidden);
    if (!m_.is_tied()) Table("lm_head.weight");
    shards_.Finish();
    WriteFileAtomically(output_.path() / "config.json", Config(m_, weights_, type_).dump(1) + "\n");
    output_.Commit();
  }
  int64_t bytes() const { return shards_.total_bytes(); }

 private:
  void Table(const std::string& name) {
    shards_.Write(name, RandomFloats(type_, {m_.vocab, m_.hidden}, -6, state_).view());
  }
  void Norm(const std::string& name, int64_t size) {
    // Gemma's multiply by one more: by 1/2 then, or sums of random weights leave the range of F16.
    const float weight = m_.has_sandwich_norms() ? -0.5f : 1.0f;
    shards_.Write(name + ".weight", Filled(type_, size, weight).view());
  }
  void Linear(const std::string& name, int64_t n, int64_t k) {
    shards_.Write(RandomLinear(name, n, k, weights_, type_, state_));
  }
  void Mlp(const std::string& mlp, int64_t size) {
    const bool numbered = m_.is_mixtral();
    if (m_.is_phi3()) {
      Linear(mlp + "gate_up_proj", 2 * size, m_.hidden);
    } else {
      Linear(mlp + (numbered ? "w1" : "gate_proj"), size, m_.hidden);
      Linear(mlp + (numbered ? "w3" : "up_proj"), size, m_.hidden);
    }
    Linear(mlp + (numbered ? "w2" : "down_proj"), m_.hidden, size);
  }
  void Latent(const std::string& attention) {
    const int64_t queries = m_.heads * (kLatentHead + m_.head_size);
    if (m_.q_rank > 0) {
      Linear(attention + "q_a_proj", m_.q_rank, m_.hidden);
      Norm(attention + "q_a_layernorm", m_.q_rank);
      Linear(attention + "q_b_proj", queries, m_.q_rank);
    } else {
      Linear(attention + "q_proj", queries, m_.hidden);
    }
    Linear(attention + "kv_a_proj_with_mqa", m_.kv_rank + m_.head_size, m_.hidden);
    Norm(attention + "kv_a_layernorm", m_.kv_rank);
    Linear(attention + "kv_b_proj", m_.heads * 2 * kLatentHead, m_.kv_rank);
    Linear(attention + "o_proj", m_.hidden, m_.heads * kLatentHead);
  }
  void Gqa(const std::string& attention) {
    const int64_t q = m_.heads * m_.head_size;
    const int64_t kv = m_.kv_heads * m_.head_size;
    if (m_.is_phi3()) {
      Linear(attention + "qkv_proj", q + 2 * kv, m_.hidden);
    } else {
      for (const auto& [name, size] : {std::pair{"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}}) {
        Linear(attention + name, size, m_.hidden);
        if (m_.has_biases_of_qkv()) {
          shards_.Write(Cat(attention, name, ".bias"), RandomFloats(type_, {size}, -6, state_).view());
        }
      }
    }
    Linear(attention + "o_proj", m_.hidden, q);
    if (!m_.has_norms_of_heads()) return;
    Norm(attention + "q_norm", m_.head_size);
    Norm(attention + "k_norm", m_.head_size);
  }
  void Experts(const std::string& ffn) {
    shards_.Write(ffn + "gate.weight",
                  RandomFloats(type_, {m_.experts, m_.hidden}, -6, state_).view());
    for (int64_t e = 0; e < m_.experts; ++e) Mlp(Cat(ffn, "experts.", e, "."), m_.ffn);
    if (m_.shared > 0) Mlp(ffn + "shared_experts.", m_.shared * m_.ffn);
  }
  void Layer(const std::string& layer) {
    if (m_.kv_rank > 0) {
      Latent(layer + "self_attn.");
    } else {
      Gqa(layer + "self_attn.");
    }
    const std::string ffn = layer + (m_.is_mixtral() ? "block_sparse_moe." : "mlp.");
    if (m_.experts > 0) {
      Experts(ffn);
    } else {
      Mlp(ffn, m_.ffn);
    }
    Norm(layer + "input_layernorm", m_.hidden);
    Norm(layer + "post_attention_layernorm", m_.hidden);
    if (!m_.has_sandwich_norms()) return;
    Norm(layer + "pre_feedforward_layernorm", m_.hidden);
    Norm(layer + "post_feedforward_layernorm", m_.hidden);
  }
  void MptLayer(const std::string& layer) {
    Norm(layer + "norm_1", m_.hidden);
    Linear(layer + "attn.Wqkv", 3 * m_.hidden, m_.hidden);
    Linear(layer + "attn.out_proj", m_.hidden, m_.hidden);
    Norm(layer + "norm_2", m_.hidden);
    Linear(layer + "ffn.up_proj", m_.ffn, m_.hidden);
    Linear(layer + "ffn.down_proj", m_.hidden, m_.ffn);
  }

  const Model& m_;
  Weights weights_;
  DType type_;
  OutputFolder output_;
  ShardWriter shards_;
  uint64_t state_ = 88172645463325252u;
};

}  // namespace

int64_t WriteModel(const Model& model, const std::string& folder, const Weights& weights,
                   DType type, int64_t layers) {
  Writer writer(model, folder, weights, type);
  writer.Write(layers);
  return writer.bytes();
}

}  // namespace awq::synthetic
