// Llama: pre-norm RMS blocks, grouped-query attention with RoPE, SiLU-gated MLP.
#include <cmath>

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

int64_t PositiveInt(const Json& config, std::string_view key) {
  const int64_t value = config.Int(key);
  AWQ_CHECK(value > 0 && value < (int64_t{1} << 31), kCorrupt, config.Where(), ": ", key,
            ": expected a positive 31-bit integer, found ", value);
  return value;
}

FfnActivation ReadActivation(const Json& config) {
  const std::string name =
      config.String("hidden_act", config.String("hidden_activation", std::string("silu")));
  if (name == "silu" || name == "swish") return FfnActivation::kSilu;
  if (name == "gelu") return FfnActivation::kGelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return FfnActivation::kGeluTanh;
  if (name == "relu") return FfnActivation::kRelu;
  Fail(ErrorCode::kUnsupported, config.Where(), ": hidden_act \"", name,
       "\"; supported: silu, gelu, gelu_new, gelu_pytorch_tanh, relu");
}

ModelSpec LlamaSpec(const Json& config) { return LlamaSpec(config, 0); }

ModelSpec LlamaSpec(const Json& config, int64_t default_head_size) {
  ModelSpec m;
  m.hidden = PositiveInt(config, "hidden_size");
  m.vocab = PositiveInt(config, "vocab_size");
  m.context = config.Int("max_position_embeddings", 2048);
  m.embed.tied_head = config.Bool("tie_word_embeddings", false);

  LayerSpec layer;
  layer.norm.epsilon = config.Double("rms_norm_eps", 1e-6);
  GqaSpec& a = layer.attention;
  a.heads = PositiveInt(config, "num_attention_heads");
  a.kv_heads =
      config.Has("num_key_value_heads") ? PositiveInt(config, "num_key_value_heads") : a.heads;
  AWQ_CHECK(a.heads % a.kv_heads == 0, kCorrupt, config.Where(), ": ", a.heads,
            " attention heads cannot share ", a.kv_heads, " key/value heads evenly");
  if (config.Has("head_dim")) {
    a.head_size = PositiveInt(config, "head_dim");
  } else if (default_head_size > 0) {
    a.head_size = default_head_size;
  } else {
    AWQ_CHECK(m.hidden % a.heads == 0, kCorrupt, config.Where(), ": hidden_size ", m.hidden,
              " is not a multiple of num_attention_heads ", a.heads);
    a.head_size = m.hidden / a.heads;
  }
  a.qkv_bias = a.o_bias = config.Bool("attention_bias", false);
  a.scale = 1.0 / std::sqrt(static_cast<double>(a.head_size));
  a.rope = ReadRope(config, a.head_size);
  layer.mlp.size = PositiveInt(config, "intermediate_size");
  layer.mlp.activation = ReadActivation(config);
  layer.mlp.bias = config.Bool("mlp_bias", false);

  const int64_t layers = PositiveInt(config, "num_hidden_layers");
  AWQ_CHECK(layers <= 10000, kCorrupt, config.Where(), ": num_hidden_layers ", layers);
  m.layers.assign(static_cast<size_t>(layers), layer);
  m.final_norm = layer.norm;
  return m;
}

NameMap LlamaNames(const Json&) {
  const std::string layer = "model.layers.{L}.";
  return {{Role::kEmbed, "model.embed_tokens"},
          {Role::kFinalNorm, "model.norm"},
          {Role::kHead, "lm_head"},
          {Role::kAttnNorm, layer + "input_layernorm"},
          {Role::kQ, layer + "self_attn.q_proj"},
          {Role::kK, layer + "self_attn.k_proj"},
          {Role::kV, layer + "self_attn.v_proj"},
          {Role::kO, layer + "self_attn.o_proj"},
          {Role::kFfnNorm, layer + "post_attention_layernorm"},
          {Role::kGate, layer + "mlp.gate_proj"},
          {Role::kUp, layer + "mlp.up_proj"},
          {Role::kDown, layer + "mlp.down_proj"}};
}

}  // namespace awq
