// Scale edges: where a positive per-channel scale can move from an activation into the weights that
// read it without changing the model's function. Derived from the specification, never listed by
// hand.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/model/spec.h"

namespace awq {

// The producer's output channel c is divided by s[c]; every consumer's input column that reads it
// is multiplied by s[c]. Everything between them commutes with a positive scale.
struct ScaleEdge {
  LinearId producer;                // a norm (kAttnNorm, kFfnNorm) or a linear (kV, kUp)
  std::vector<LinearId> consumers;  // all linears that read it
  int64_t channels = 0;             // of the producer
  // Consumers read each channel `repeat` times: kv head g's d channels by each of the H/G query
  // heads that share it. 1 elsewhere.
  int64_t head_size = 0;
  int64_t repeat = 1;
  // Rows of the producer that a head takes, and the first of them that is one of head_size
  // channels; 0: channel c is row c. Latent attention: a head's keys stand before its values in
  // kv_b.
  int64_t rows_per_head = 0;
  int64_t first_row = 0;
  size_t unquantized = 0;  // of the consumers: so many of the first
  double offset = 0;       // of a producing norm's weight over what is stored

  // The consumers that are quantized.
  std::span<const LinearId> Quantized() const { return std::span(consumers).subspan(unquantized); }
  // The producer's channel that the consumers' input column `column` reads.
  int64_t Channel(int64_t column) const {
    if (repeat == 1) return column;
    return column / (head_size * repeat) * head_size + column % head_size;
  }
  // The producer's row that makes the channel.
  int64_t Row(int64_t channel) const {
    if (rows_per_head == 0) return channel;
    return channel / head_size * rows_per_head + first_row + channel % head_size;
  }
};

std::vector<ScaleEdge> DeriveScaleEdges(const ModelSpec& model, int64_t layer);

// Changes s a little so that a producing norm over s is exactly a value of `type`, in which it will
// be stored: its rounding then costs nothing. Other producers are left alone.
void AdjustToStored(const ScaleEdge& edge, const LayerParams& layer, DType type,
                    std::span<float> s);

// Applies s [channels] > 0 to an f32 layer: producer divided (bias too), consumers multiplied. A
// producer that is quantized already has its scales divided.
void ApplyScale(const ScaleEdge& edge, std::span<const float> s, LayerParams& layer);

// Columns of w [N, K], F32, times by [K].
void ScaleColumns(const TensorView& w, std::span<const float> by);

// The weight [N, K] of a linear that is not quantized.
const TensorView& DenseWeight(const LayerParams& layer, LinearId id);

}  // namespace awq
