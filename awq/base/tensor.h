// Tensors: Shape, the non-owning TensorView, and Tensor, its move-only owner.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <span>
#include <string>

#include "awq/base/dtype.h"
#include "awq/base/error.h"

namespace awq {

inline constexpr int kMaxRank = 4;

// Up to four extents, outermost first. Sizes are in elements.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);  // NOLINT(google-explicit-constructor)
  explicit Shape(std::span<const int64_t> dims);
  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  int64_t NumElements() const;
  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};
std::ostream& operator<<(std::ostream& out, const Shape& shape);  // "[4096, 1376]"

enum class Device { kCpu, kCuda };

// Points at elements owned elsewhere; copyable. Rank ≤ 4, strides in elements, last stride 1.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Device device = Device::kCpu;
  Shape shape;
  Shape strides;

  TensorView() = default;
  // A dense row-major view.
  TensorView(void* data, DType dtype, const Shape& shape, Device device = Device::kCpu);

  bool empty() const { return data == nullptr; }
  int rank() const { return shape.rank(); }
  int64_t dim(int i) const { return shape[i]; }
  int64_t NumElements() const { return shape.NumElements(); }
  int64_t NumBytes() const { return (NumElements() * BitsOf(dtype) + 7) / 8; }
  bool IsContiguous() const;
  // Rows: everything but the last dimension, counted through; and the first element of one.
  int64_t NumRows() const;
  int64_t RowOffset(int64_t row) const;
  // Elements [begin, end) of the first dimension, sharing the memory.
  TensorView Rows(int64_t begin, int64_t end) const;
  // Columns [begin, end) of the last dimension; whole bytes only.
  TensorView Columns(int64_t begin, int64_t end) const;
  // The same elements with another shape; needs a contiguous view.
  TensorView Reshape(const Shape& to) const;

  // The elements as T; the caller vouches for the type. T may be const.
  template <typename T>
  T* As() const {
    return static_cast<T*>(data);
  }
  // All elements of a contiguous view.
  template <typename T>
  std::span<T> Span() const {
    return {As<T>(), static_cast<size_t>(NumElements())};
  }
};

// Owns what its view points at: a host or device allocation, or a share of a mapped file.
class Tensor {
 public:
  Tensor() = default;
  Tensor(TensorView view, std::shared_ptr<const void> owner)
      : view_(view), owner_(std::move(owner)) {}
  Tensor(Tensor&&) = default;
  Tensor& operator=(Tensor&&) = default;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  bool empty() const { return view_.empty(); }
  const TensorView& view() const { return view_; }
  const Shape& shape() const { return view_.shape; }
  DType dtype() const { return view_.dtype; }
  template <typename T>
  T* As() const {
    return view_.As<T>();
  }
  template <typename T>
  std::span<T> Span() const {
    return view_.Span<T>();
  }
  // A second owner of the same memory, e.g. for tied weights.
  Tensor Share() const { return Tensor(view_, owner_); }

 private:
  TensorView view_;
  std::shared_ptr<const void> owner_;
};

// Host memory, 64-byte aligned, zeroed.
Tensor MakeTensor(DType dtype, const Shape& shape);
// Element i of a contiguous float tensor (F32, F16, BF16, F64, F8_E4M3) as f32.
float LoadFloat(const TensorView& view, int64_t i);
// Rounds to nearest even into F32, F16, BF16 or F8_E4M3.
void StoreFloat(const TensorView& view, int64_t i, float value);
// A host copy with another float type; src may have strided rows.
Tensor ConvertTo(const TensorView& src, DType dtype);

}  // namespace awq
