#include "awq/backend/cuda/pack_q4.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "awq/base/dtype.h"
#include "awq/base/error.h"

namespace awq::cuda {
namespace {

// Of those that are finite: the others spoil their own rows alone.
float LargestScale(const TensorView& scales) {
  const int64_t count = scales.NumElements();
  if (scales.dtype == DType::kF16) {  // as integers: without a conversion each
    constexpr uint16_t kInfinity = 0x7c00;
    uint16_t most = 0;
    const auto* bits = scales.As<const uint16_t>();
    for (int64_t i = 0; i < count; ++i) {
      const auto size = static_cast<uint16_t>(bits[i] & 0x7fff);
      most = std::max(most, size < kInfinity ? size : uint16_t{0});
    }
    return F16ToFloat(most);
  }
  float most = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    const float size = std::fabs(LoadFloat(scales, i));
    if (std::isfinite(size)) most = std::max(most, size);
  }
  return most;
}

}  // namespace

float CommonScale(const QuantizedWeight& w) {
  const float largest = LargestScale(w.scales.view());
  if (largest == 0.0f) return 1.0f;
  return std::ldexp(1.0f, std::max(std::ilogb(largest) - 11, -126));  // its inverse is finite
}

Q4Shape MakeQ4Shape(const QuantScheme& scheme, int64_t n, int64_t k) {
  AWQ_CHECK(scheme.bits == 4, kUnsupported, "backend cuda: ", scheme.bits,
            "-bit weights; supported: 4");
  AWQ_CHECK(k % 8 == 0, kUnsupported, "backend cuda: ", k, " inputs; supported: multiples of 8");
  const bool row = scheme.group < 0 || scheme.group >= k;
  AWQ_CHECK(row || scheme.group == 32 || scheme.group == 64 || scheme.group % kBlockK == 0,
            kUnsupported, "backend cuda: groups of ", scheme.group,
            "; supported: 32, 64, multiples of 128, the whole row (-1)");
  const int64_t whole = (k + kBlockK - 1) / kBlockK * kBlockK;
  return {.n = n,
          .k = k,
          .group = static_cast<int>(row ? whole : scheme.group),
          .has_zeros = !scheme.symmetric};
}

HostBlocks PackQ4(const QuantizedWeight& w) {
  HostBlocks out;
  out.shape = MakeQ4Shape(w.scheme, w.n(), w.k());
  out.scale = CommonScale(w);
  const Q4Shape& shape = out.shape;
  out.bytes.assign(static_cast<size_t>(shape.NumBytes()), 0);
  const int64_t rows = shape.RowTiles() * kTileN;
  const int64_t columns = shape.BlocksPerRow() * kBlockK;
  const int64_t step = std::min<int64_t>(shape.group, kBlockK);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const bool inside = r < shape.n && c < shape.k;
      const int64_t g = c / shape.group;
      if (c % step == 0 && inside) {
        const uint16_t scale = FloatToF16(w.Scale(r, g) / out.scale);
        std::memcpy(&out.bytes[static_cast<size_t>(shape.ScaleOffset(r, c))], &scale, 2);
        if (shape.has_zeros) {
          out.bytes[static_cast<size_t>(shape.ZeroOffset(r, c))] =
              static_cast<uint8_t>(w.Zero(r, g));
        }
      }
      // Padding holds its zero point: that of its group, 0 in groups that are padding altogether.
      int code = shape.has_zeros ? 0 : 8;
      if (inside) {
        code = w.Code(r, c);
      } else if (r < shape.n && g * shape.group < shape.k && c / step * step < shape.k) {
        code = w.Zero(r, g);
      }
      const CodePlace place =
          PlaceOfCode(static_cast<int>(r % kTileN), static_cast<int>(c % kBlockK));
      const int64_t at = shape.BlockOffset(r, c) + 4 * place.word + place.shift / 8;
      out.bytes[static_cast<size_t>(at)] |= static_cast<uint8_t>(code << place.shift % 8);
    }
  }
  return out;
}

QuantizedWeight UnpackQ4(const HostBlocks& blocks) {
  const Q4Shape& shape = blocks.shape;
  const QuantScheme scheme{
      .bits = 4, .group = shape.group >= shape.k ? -1 : shape.group, .symmetric = !shape.has_zeros};
  QuantizedWeight w = MakeQuantizedWeight(scheme, shape.n, shape.k, DType::kF32);
  const int64_t groups = scheme.Groups(shape.k);
  for (int64_t r = 0; r < shape.n; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      uint16_t scale = 0;
      std::memcpy(&scale, &blocks.bytes[static_cast<size_t>(shape.ScaleOffset(r, g * shape.group))],
                  2);
      StoreFloat(w.scales.view(), r * groups + g, F16ToFloat(scale) * blocks.scale);
      if (shape.has_zeros) {
        w.zeros.As<uint8_t>()[r * groups + g] =
            blocks.bytes[static_cast<size_t>(shape.ZeroOffset(r, g * shape.group))];
      }
    }
    for (int64_t c = 0; c < shape.k; ++c) {
      const CodePlace place =
          PlaceOfCode(static_cast<int>(r % kTileN), static_cast<int>(c % kBlockK));
      const int64_t at = shape.BlockOffset(r, c) + 4 * place.word + place.shift / 8;
      SetCode(w, r, c, (blocks.bytes[static_cast<size_t>(at)] >> place.shift % 8) & 15);
    }
  }
  return w;
}

}  // namespace awq::cuda
