// What the CUDA backend keeps of a linear's weight.
#pragma once

#include "awq/backend/cuda/layout_q8.h"
#include "awq/backend/cuda/pack_q4.h"
#include "awq/backend/cuda/stream.h"
#include "awq/ops/packed_weight.h"

namespace awq::cuda {

// [N, K] as stored.
class DenseWeight : public PackedWeight {
 public:
  DenseWeight(Stream& stream, const TensorView& w, DType type);
  int64_t NumBytes() const override { return data_.view().NumBytes(); }
  const TensorView& view() const { return data_.view(); }

 private:
  Tensor data_;
};

// 4 bits in the layout of layout.h: every kernel of the table reads it.
class Q4Weight : public PackedWeight {
 public:
  // gated: rows of gate, then as many of up, to be interleaved.
  Q4Weight(Stream& stream, const QuantizedWeight& w, bool gated = false);
  int64_t NumBytes() const override { return data_.view().NumBytes(); }
  const Q4Shape& shape() const { return shape_; }
  float scale() const { return scale_; }
  bool gated() const { return gated_; }
  const uint8_t* blocks() const { return data_.As<const uint8_t>(); }
  static bool Supports(const QuantScheme& scheme, int64_t n, int64_t k);

 private:
  Q4Shape shape_;
  float scale_ = 1.0f;
  bool gated_;
  Tensor data_;
};

// 8 bits in the layout of layout_q8.h.
class Q8Weight : public PackedWeight {
 public:
  Q8Weight(Stream& stream, const QuantizedWeight& w);
  int64_t NumBytes() const override { return data_.view().NumBytes(); }
  const Q8Shape& shape() const { return shape_; }
  const uint8_t* blocks() const { return data_.As<const uint8_t>(); }
  // A power of two above all scales, near the largest: in its units f16 holds them.
  float scale_unit() const { return scale_unit_; }
  static bool Supports(const QuantScheme& scheme, int64_t k);

 private:
  Q8Shape shape_;
  float scale_unit_ = 1.0f;
  Tensor data_;
};

// Everything else: the canonical tensors, one byte a code, f32 scales.
class PlainWeight : public PackedWeight {
 public:
  PlainWeight(Stream& stream, const QuantizedWeight& w);
  int64_t NumBytes() const override {
    return codes_.view().NumBytes() + scales_.view().NumBytes() + zeros_.view().NumBytes();
  }
  const uint8_t* codes() const { return codes_.As<const uint8_t>(); }
  const float* scales() const { return scales_.As<const float>(); }
  const uint8_t* zeros() const { return zeros_.As<const uint8_t>(); }
  int64_t group() const { return group_; }
  int64_t groups() const { return scales_.shape()[1]; }

 private:
  int64_t group_;
  Tensor codes_, scales_, zeros_;
};

}  // namespace awq::cuda
