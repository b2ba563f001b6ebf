// The CPU's weight layouts: panels of 16 outputs, one output a vector lane, whatever the vector
// width.
#pragma once

#include <cstdint>
#include <memory>

#include "awq/base/tensor.h"
#include "awq/base/threads.h"
#include "awq/ops/packed_weight.h"
#include "awq/pack/quantized_weight.h"

namespace awq::cpu {

inline constexpr int64_t kPanel = 16;
// Inputs that share one activation scale (see activations.h), at most.
inline constexpr int64_t kMaxBlock = 128;

inline constexpr int64_t DivUp(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline constexpr int64_t RoundUp(int64_t a, int64_t b) { return DivUp(a, b) * b; }

// Element [n, k] stands at DensePlace(n, k, K): panel-major, then k, then the output in its panel.
// Outputs past N are zeros.
inline constexpr int64_t DensePlace(int64_t n, int64_t k, int64_t columns) {
  return (n / kPanel * columns + k) * kPanel + n % kPanel;
}

class PackedDense : public PackedWeight {
 public:
  // w: F32, F16 or BF16 [N, K]; kept as `type`.
  PackedDense(ThreadPool& pool, const TensorView& w, DType type);
  int64_t NumBytes() const override { return data_.view().NumBytes(); }
  DType type() const { return data_.dtype(); }
  int64_t panels() const { return DivUp(n(), kPanel); }
  template <typename T>
  const T* Panel(int64_t panel) const {
    return data_.As<const T>() + panel * k() * kPanel;
  }

 private:
  Tensor data_;
};

// Quantized panels (PackedQuantized). One 32-bit word holds kWord = 32 / bits inputs of one output:
//   4 bits   word(n, k/8) = Σ code[n, 8·(k/8) + 2s + j] << (4s + 16j)    s = 0…3, j = 0, 1
//   8 bits   word(n, k/4) = Σ code[n, 4·(k/4) + 2s + j] << (8s + 16j)    s = 0, 1,  j = 0, 1
// so (word >> bits·s) & mask is a pair of 16-bit codes of neighbouring inputs, ready for a pairwise
// 16-bit multiply-add. Words of a panel: [K/kWord][16], 64 bytes a row; inputs past K have code 0
// and meet activations of 0.  Scales [panel][K/g][16] in their own type; zeros [panel][K/g][16] u8,
// none when symmetric.
inline constexpr int QuantizedShift(int64_t k, int bits) {
  const auto in = static_cast<int>(k % (32 / bits));
  return bits * (in / 2) + 16 * (in % 2);
}

class PackedQuantized : public PackedWeight {
 public:
  PackedQuantized(ThreadPool& pool, const QuantizedWeight& w);
  int64_t NumBytes() const override {
    return words_.view().NumBytes() + scales_.view().NumBytes() + zeros_.view().NumBytes();
  }
  int64_t panels() const { return DivUp(n(), kPanel); }
  int bits() const { return bits_; }
  int64_t group() const { return group_; }
  int64_t groups() const { return DivUp(k(), group_); }
  // Inputs that share an activation scale: divides the group.
  int64_t block() const { return block_; }
  int64_t inputs_per_word() const { return 32 / bits_; }
  int64_t words_per_row() const { return DivUp(k(), inputs_per_word()); }
  const uint32_t* Words(int64_t panel) const {
    return words_.As<const uint32_t>() + panel * words_per_row() * kPanel;
  }
  DType scale_type() const { return scales_.dtype(); }
  template <typename T>
  const T* Scales(int64_t panel) const {
    return scales_.As<const T>() + panel * groups() * kPanel;
  }
  // Not for symmetric weights.
  const uint8_t* Zeros(int64_t panel) const {
    return zeros_.As<const uint8_t>() + panel * groups() * kPanel;
  }
  bool symmetric() const { return zeros_.empty(); }

 private:
  void PackPanel(const QuantizedWeight& w, int64_t panel);

  int bits_;
  int64_t group_;
  int64_t block_;
  Tensor words_;
  Tensor scales_;
  Tensor zeros_;
};

}  // namespace awq::cpu
