// The layers of a decoder for one token at a time, as one call: what Backend::PrepareDecoder is
// told of them, and the handle that it makes.
#pragma once

#include <cstdint>
#include <span>

#include "awq/ops/args.h"
#include "awq/ops/packed_weight.h"

namespace awq {

// What a layer adds to the residual stream, first attention, then the gated feed-forward part, each
// of an RMS norm of it. Vectors are F32 on the device. All of it outlives the handle.
struct DecoderWeights {
  const PackedWeight* qkv = nullptr;      // [(H + 2G)·d, D], rows of q, then k, then v
  const PackedWeight* o = nullptr;        // [D, H·d]
  const PackedWeight* gate_up = nullptr;  // [2F, D], of Backend::PrepareGated
  const PackedWeight* down = nullptr;     // [D, F]
  TensorView qkv_bias, o_bias, gate_up_bias, down_bias;  // or empty
  TensorView attn_norm, ffn_norm;                        // [D]
  TensorView q_norm, k_norm;                             // [d], RMS norms of heads, or empty
};

// What its layers have in common.
struct DecoderArgs {
  int64_t heads = 0;      // H
  int64_t kv_heads = 0;   // G
  int64_t head_size = 0;  // d
  float epsilon = 1e-5f;  // of all norms
  float scale = 1.0f;     // of q·k
  int64_t window = 0;     // as AttentionArgs has it
  RopeArgs rope;
  Activation activation = Activation::kSilu;
};

class PackedDecoder {
 public:
  virtual ~PackedDecoder() = default;
  int64_t NumBytes() const { return bytes_; }            // of the layers' linears
  int64_t NumParameters() const { return parameters_; }  // of those

 protected:
  explicit PackedDecoder(std::span<const DecoderWeights> layers) {
    for (const DecoderWeights& layer : layers) {
      for (const PackedWeight* w : {layer.qkv, layer.o, layer.gate_up, layer.down}) {
        bytes_ += w->NumBytes();
        parameters_ += w->n() * w->k();
      }
    }
  }

 private:
  int64_t bytes_ = 0;
  int64_t parameters_ = 0;
};

}  // namespace awq
