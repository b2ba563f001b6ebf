#include "awq/pack/format/parts.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace awq {
namespace {

void CheckSurvives(float before, float after, DType type, const std::string& name) {
  const bool same_class =
      std::isfinite(before) == std::isfinite(after) && (before == 0) == (after == 0);
  AWQ_CHECK(same_class, kUnsupported, name, ": scale ", before, " cannot be stored as ",
            NameOf(type), "; use a format with another scale type");
}

}  // namespace

Tensor RequirePart(const TensorLookup& tensors, const std::string& name,
                   std::initializer_list<DType> types, const Shape& shape, const std::string& why) {
  Tensor found = tensors.Find(name);
  AWQ_CHECK(!found.empty(), kNotFound, name, ": missing from the checkpoint, although its ",
            "quantization_config says that this module is quantized");
  if (found.shape() == shape &&
      std::find(types.begin(), types.end(), found.dtype()) != types.end()) {
    return found;
  }
  std::string expected;
  for (DType t : types) expected += (expected.empty() ? "" : " or ") + std::string(NameOf(t));
  Fail(ErrorCode::kCorrupt, name, ": expected ", expected, " ", shape, " (", why, "), found ",
       NameOf(found.dtype()), " ", found.shape());
}

Tensor TransposeScales(const TensorView& scales, DType type, const std::string& name) {
  const int64_t rows = scales.dim(0);
  const int64_t columns = scales.dim(1);
  Tensor out = MakeTensor(type, {columns, rows});
  if (scales.dtype == type && BitsOf(type) == 16) {
    const auto* from = scales.As<const uint16_t>();
    auto* to = out.As<uint16_t>();
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = 0; r < rows; ++r) to[c * rows + r] = from[r * columns + c];
    }
    return out;
  }
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      const float value = LoadFloat(scales, r * columns + c);
      StoreFloat(out.view(), c * rows + r, value);
      CheckSurvives(value, LoadFloat(out.view(), c * rows + r), type, name);
    }
  }
  return out;
}

Tensor ConvertScales(const TensorView& scales, DType type, const std::string& name) {
  Tensor out = ConvertTo(scales, type);
  if (scales.dtype == type) return out;
  for (int64_t i = 0; i < scales.NumElements(); ++i) {
    CheckSurvives(LoadFloat(scales, i), LoadFloat(out.view(), i), type, name);
  }
  return out;
}

}  // namespace awq
