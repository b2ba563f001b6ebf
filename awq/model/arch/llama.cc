// Llama: pre-norm RMS blocks, grouped-query attention with RoPE, SiLU-gated MLP.
#include <cmath>
#include <string>
#include <vector>

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

int64_t PositiveInt(const Json& config, std::string_view key) {
  const int64_t value = config.Int(key);
  AWQ_CHECK(value > 0 && value < (int64_t{1} << 31), kCorrupt, config.Where(), ": ", key,
            ": expected a positive 31-bit integer, found ", value);
  return value;
}

FfnActivation ReadActivation(const Json& config, std::string_view key) {
  const std::string name = config.String(key);
  if (name == "silu" || name == "swish") return FfnActivation::kSilu;
  if (name == "gelu" || name == "gelu_python") return FfnActivation::kGelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast") {
    return FfnActivation::kGeluTanh;
  }
  if (name == "relu") return FfnActivation::kRelu;
  Fail(ErrorCode::kUnsupported, config.Where(), ": ", key, " \"", name,
       "\"; supported: silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu");
}

FfnActivation ReadActivation(const Json& config) {
  for (const char* key : {"hidden_act", "hidden_activation"}) {
    if (config.Has(key)) return ReadActivation(config, key);
  }
  return FfnActivation::kSilu;
}

Json Filled(const Json& config, const RawJson& defaults) {
  RawJson values = config.raw();
  AWQ_CHECK(values.is_object(), kCorrupt, config.Where(), ": expected an object");
  for (const auto& [key, value] : defaults.items()) {
    if (!values.contains(key)) values[key] = value;
  }
  return Json::Parse(values.dump(), config.Where());
}

Json Renamed(const Json& config,
             std::initializer_list<std::pair<std::string_view, std::string_view>> keys) {
  RawJson values = RawJson::object();
  for (const auto& [from, to] : keys) {
    if (config.Has(from)) values[std::string(to)] = config.At(from).raw();
  }
  return Filled(config, values);
}

void SetWindows(const Json& config, int64_t window, const std::function<bool(int64_t)>& slides,
                ModelSpec& model) {
  std::vector<Json> types;
  if (const auto listed = config.Find("layer_types")) types = listed->AsArray();
  AWQ_CHECK(types.empty() || types.size() == model.layers.size(), kCorrupt, config.Where(),
            ": layer_types: expected ", model.layers.size(), " entries, found ", types.size());
  for (size_t i = 0; i < model.layers.size(); ++i) {
    const bool slide = types.empty() ? slides(static_cast<int64_t>(i))
                                     : types[i].AsString() == "sliding_attention";
    GqaOf(model.layers[i]).window = slide ? window : 0;
  }
}

void SetNorms(const NormSpec& norm, ModelSpec& model) {
  for (LayerSpec& layer : model.layers) layer.norm = norm;
  model.final_norm = norm;
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
  GqaSpec& a = GqaOf(layer);
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
  MlpSpec& mlp = MlpOf(layer);
  mlp.size = PositiveInt(config, "intermediate_size");
  mlp.activation = ReadActivation(config);
  mlp.bias = config.Bool("mlp_bias", false);

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
