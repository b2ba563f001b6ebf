#include "awq/base/tensor.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace awq {

Shape::Shape(std::initializer_list<int64_t> dims)
    : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  AWQ_CHECK(dims.size() <= kMaxRank, kUnsupported, "tensor of rank ", dims.size(), ": at most ",
            kMaxRank, " is supported");
  for (size_t i = 0; i < dims.size(); ++i) dims_[i] = dims[i];
}

int64_t Shape::NumElements() const {
  int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= (*this)[i];
  return n;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

TensorView::TensorView(void* data, DType dtype, const Shape& shape, Device device)
    : data(data), dtype(dtype), device(device), shape(shape), strides(shape) {
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= shape[i];
  }
}

bool TensorView::IsContiguous() const {
  int64_t stride = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != stride) return false;
    stride *= shape[i];
  }
  return true;
}

TensorView TensorView::Rows(int64_t begin, int64_t end) const {
  AWQ_CHECK(rank() > 0 && 0 <= begin && begin <= end && end <= dim(0), kInternal, "rows [", begin,
            ", ", end, ") of a tensor ", shape);
  TensorView out = *this;
  out.data = As<char>() + begin * strides[0] * BitsOf(dtype) / 8;
  out.shape[0] = end - begin;
  return out;
}

int64_t TensorView::NumRows() const {
  int64_t rows = 1;
  for (int i = 0; i + 1 < rank(); ++i) rows *= dim(i);
  return rows;
}

int64_t TensorView::RowOffset(int64_t row) const {
  int64_t offset = 0;
  for (int i = rank() - 2; i >= 0; --i) {
    offset += row % dim(i) * strides[i];
    row /= dim(i);
  }
  return offset;
}

TensorView TensorView::Columns(int64_t begin, int64_t end) const {
  const int last = rank() - 1;
  AWQ_CHECK(last >= 0 && 0 <= begin && begin <= end && end <= dim(last), kInternal, "columns [",
            begin, ", ", end, ") of a tensor ", shape);
  TensorView out = *this;
  out.data = As<char>() + begin * BitsOf(dtype) / 8;
  out.shape[last] = end - begin;
  return out;
}

TensorView TensorView::Reshape(const Shape& to) const {
  AWQ_CHECK(IsContiguous() && to.NumElements() == NumElements(), kInternal, "cannot reshape ",
            shape, " to ", to);
  return TensorView(data, dtype, to, device);
}

Tensor MakeTensor(DType dtype, const Shape& shape) {
  TensorView view(nullptr, dtype, shape);
  constexpr size_t kAlign = 64;
  const size_t bytes = (static_cast<size_t>(view.NumBytes()) + kAlign) / kAlign * kAlign;
  void* data = std::aligned_alloc(kAlign, bytes);
  AWQ_CHECK(data != nullptr, kOutOfMemory, "cannot allocate ", bytes, " bytes for a tensor ",
            shape);
  std::memset(data, 0, bytes);
  view.data = data;
  return Tensor(view, std::shared_ptr<const void>(data, [data](const void*) { std::free(data); }));
}

float LoadFloat(const TensorView& view, int64_t i) {
  switch (view.dtype) {
    case DType::kF32:
      return view.As<const float>()[i];
    case DType::kF16:
      return F16ToFloat(view.As<const uint16_t>()[i]);
    case DType::kBF16:
      return Bf16ToFloat(view.As<const uint16_t>()[i]);
    case DType::kF8E4M3:
      return E4m3ToFloat(view.As<const uint8_t>()[i]);
    case DType::kF64:
      return static_cast<float>(view.As<const double>()[i]);
    default:
      Fail(ErrorCode::kInternal, "LoadFloat: element type ", NameOf(view.dtype));
  }
}

void StoreFloat(const TensorView& view, int64_t i, float value) {
  switch (view.dtype) {
    case DType::kF32:
      view.As<float>()[i] = value;
      return;
    case DType::kF16:
      view.As<uint16_t>()[i] = FloatToF16(value);
      return;
    case DType::kBF16:
      view.As<uint16_t>()[i] = FloatToBf16(value);
      return;
    case DType::kF8E4M3:
      view.As<uint8_t>()[i] = FloatToE4m3(value);
      return;
    default:
      Fail(ErrorCode::kInternal, "StoreFloat: element type ", NameOf(view.dtype));
  }
}

Tensor ConvertTo(const TensorView& src, DType dtype) {
  Tensor out = MakeTensor(dtype, src.shape);
  if (src.IsContiguous()) {
    const int64_t n = src.NumElements();
    if (src.dtype == dtype) {
      std::memcpy(out.view().data, src.data, static_cast<size_t>(src.NumBytes()));
    } else if (src.dtype == DType::kBF16 && dtype == DType::kF32) {
      const auto* from = src.As<const uint16_t>();
      float* to = out.As<float>();
      for (int64_t i = 0; i < n; ++i) to[i] = Bf16ToFloat(from[i]);
    } else if (src.dtype == DType::kF16 && dtype == DType::kF32) {
      const auto* from = src.As<const uint16_t>();
      float* to = out.As<float>();
      for (int64_t i = 0; i < n; ++i) to[i] = F16ToFloat(from[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) StoreFloat(out.view(), i, LoadFloat(src, i));
    }
    return out;
  }
  AWQ_CHECK(src.rank() == 2, kInternal, "ConvertTo: a strided tensor ", src.shape);
  for (int64_t r = 0; r < src.dim(0); ++r) {
    for (int64_t c = 0; c < src.dim(1); ++c) {
      StoreFloat(out.view(), r * src.dim(1) + c, LoadFloat(src, r * src.strides[0] + c));
    }
  }
  return out;
}

}  // namespace awq
