// The layers of a decoder for one token at a time, as one call: what Backend::PrepareDecoder is
// told of them, and the handle that it makes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "awq/ops/args.h"
#include "awq/ops/packed_weight.h"

namespace awq {

// Routed experts in place of a gated feed-forward part.
struct DecoderExperts {
  const PackedWeight* router = nullptr;  // dense [E, D]
  TensorView router_bias;                // [E], of the choice alone, or empty
  const PackedStack* gate_up = nullptr;  // E times [2F, D], of Backend::PrepareGated
  const PackedStack* down = nullptr;     // E times [D, F]
};

// What a layer adds to the residual stream, first attention, then the gated feed-forward part, each
// of an RMS norm of it. Vectors are F32 on the device. All of it outlives the handle.
struct DecoderWeights {
  const PackedWeight* qkv = nullptr;      // [(H + 2G)·d, D], rows of q, then k, then v
  const PackedWeight* o = nullptr;        // [D, H·d]
  const PackedWeight* gate_up = nullptr;  // [2F, D], of Backend::PrepareGated, or null
  const PackedWeight* down = nullptr;     // [D, F], or null
  std::optional<DecoderExperts> experts;  // where there are no gate_up and down
  TensorView qkv_bias, o_bias, gate_up_bias, down_bias;  // or empty
  TensorView attn_norm, ffn_norm;                        // [D]
  TensorView q_norm, k_norm;                             // [d], RMS norms of heads, or empty
  // [D], RMS norms of what the layer adds, or both empty.
  TensorView attn_post_norm, ffn_post_norm;
  int64_t window = 0;  // as AttentionArgs has it
  RopeArgs rope;       // layers that rotate alike have the same memory of frequencies
};

// What its layers have in common.
struct DecoderArgs {
  int64_t heads = 0;      // H
  int64_t kv_heads = 0;   // G
  int64_t head_size = 0;  // d
  float epsilon = 1e-5f;  // of all norms
  float scale = 1.0f;     // of q·k
  float softcap = 0.0f;   // of scores; 0: none
  Activation activation = Activation::kSilu;
  RouteArgs route = {};
  int64_t active = 0;  // experts of a token; 0: layers have none
};

class PackedDecoder {
 public:
  virtual ~PackedDecoder() = default;
  int64_t NumBytes() const { return bytes_; }            // of the linears that a token goes through
  int64_t NumParameters() const { return parameters_; }  // of those

 protected:
  PackedDecoder(const DecoderArgs& args, std::span<const DecoderWeights> layers) {
    for (const DecoderWeights& layer : layers) {
      for (const PackedWeight* w : {layer.qkv, layer.o, layer.gate_up, layer.down}) Count(w, 1);
      if (!layer.experts) continue;
      Count(layer.experts->router, 1);
      for (const PackedStack* stack : {layer.experts->gate_up, layer.experts->down}) {
        Count(&(*stack)[0], args.active);
      }
    }
  }

 private:
  void Count(const PackedWeight* w, int64_t times) {
    if (w == nullptr) return;
    bytes_ += times * w->NumBytes();
    parameters_ += times * w->n() * w->k();
  }

  int64_t bytes_ = 0;
  int64_t parameters_ = 0;
};

}  // namespace awq
