#include "awq/api/internal/weight_checks.h"

#include <cmath>

#include "awq/base/error.h"

namespace awq {
namespace {

// Exponent bits all set: infinity or NaN.
template <typename T>
int64_t FirstNotFinite(const TensorView& values, T exponent) {
  const auto* p = values.As<const T>();
  const int64_t count = values.NumElements();
  for (int64_t i = 0; i < count; ++i) {
    if ((p[i] & exponent) == exponent) return i;
  }
  return -1;
}

}  // namespace

std::optional<std::string> FindBadValue(const TensorView& values) {
  int64_t at = -1;
  if (values.dtype == DType::kF32) {
    at = FirstNotFinite<uint32_t>(values, 0x7f800000u);
  } else if (values.dtype == DType::kBF16) {
    at = FirstNotFinite<uint16_t>(values, 0x7f80u);
  } else if (values.dtype == DType::kF16) {
    at = FirstNotFinite<uint16_t>(values, 0x7c00u);
  }
  if (at < 0) return std::nullopt;
  return Cat("element ", at, " is ", LoadFloat(values, at));
}

std::optional<std::string> FindBadValue(const QuantizedWeight& weight) {
  if (const auto bad = FindBadValue(weight.scales.view())) return "scales: " + *bad;
  const int64_t groups = weight.scheme.Groups(weight.k());
  const int64_t size = weight.scheme.GroupSize(weight.k());
  bool codes_differ = false;
  const int first = weight.Code(0, 0);
  for (int64_t row = 0; row < weight.n(); ++row) {
    for (int64_t g = 0; g < groups; ++g) {
      const int zero = weight.Zero(row, g);
      if (zero > weight.scheme.MaxCode()) {
        return Cat("zeros: row ", row, ", group ", g, ": expected at most ",
                   weight.scheme.MaxCode(), ", found ", zero);
      }
      bool used = false;  // some weight of the group is not zero
      const int64_t end = std::min((g + 1) * size, weight.k());
      for (int64_t k = g * size; k < end; ++k) {
        const int code = weight.Code(row, k);
        codes_differ = codes_differ || code != first;
        used = used || code != zero;
      }
      if (used && weight.Scale(row, g) == 0) {
        return Cat("scales: row ", row, ", group ", g, " is 0 although its codes are not");
      }
    }
  }
  if (!codes_differ && weight.n() * weight.k() > 1) return Cat("all codes are ", first);
  return std::nullopt;
}

}  // namespace awq
