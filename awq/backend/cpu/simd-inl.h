// Vector helpers that every kernel file uses: rows of any float type, pairwise 16-bit dot products.
// Included once per instruction set.
#include <cmath>
#include <cstdint>

#include "awq/base/dtype.h"
#include "awq/base/tensor.h"
#include "hwy/highway.h"

#if defined(AWQ_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AWQ_CPU_SIMD_INL_H_
#undef AWQ_CPU_SIMD_INL_H_
#else
#define AWQ_CPU_SIMD_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace awq::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Never wider than a panel.
using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using VU = hn::Vec<DU>;
inline constexpr int kLanes = static_cast<int>(MaxLanes(DF()));
inline constexpr int kPanelVectors = 16 / kLanes;

// Vector registers decide how much a kernel keeps in flight.
inline constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64;

// Tiles (tiles.h) take over from the best vectors alone, so that tests of others see theirs.
inline constexpr bool kMayHaveTiles = HWY_TARGET <= HWY_AVX3_DL;

// kLanes floats from memory of element type T (float; hwy::bfloat16_t, hwy::float16_t for 16 bits).
template <typename T>
HWY_INLINE VF LoadVector(const T* p) {
  if constexpr (sizeof(T) == 4) {
    return hn::LoadU(DF(), p);
  } else {
    const hn::Rebind<T, DF> d;
    return hn::PromoteTo(DF(), hn::LoadU(d, p));
  }
}

// Rounds to nearest even; NaN stays NaN.
HWY_INLINE void StoreBf16(VF value, uint16_t* p) {
  const DU du;
  const VU bits = hn::BitCast(du, value);
  const VU odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const VU rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu))));
  const VU nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40u));
  const VU out = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(value)), nan, rounded);
  const hn::Rebind<uint16_t, DU> d16;
  hn::StoreU(hn::TruncateTo(d16, out), d16, p);
}

HWY_INLINE void StoreVector(VF value, float* p) { hn::StoreU(value, DF(), p); }
HWY_INLINE void StoreVector(VF value, hwy::bfloat16_t* p) {
  StoreBf16(value, reinterpret_cast<uint16_t*>(p));
}
HWY_INLINE void StoreVector(VF value, hwy::float16_t* p) {
  const hn::Rebind<hwy::float16_t, DF> d;
  hn::StoreU(hn::DemoteTo(d, value), d, p);
}

HWY_INLINE float ToFloat(float v) { return v; }
HWY_INLINE float ToFloat(hwy::bfloat16_t v) { return Bf16ToFloat(v.bits); }
HWY_INLINE float ToFloat(hwy::float16_t v) {
  uint16_t bits;
  hwy::CopyBytes<2>(&v, &bits);
  return F16ToFloat(bits);
}
HWY_INLINE void FromFloat(float v, float* p) { *p = v; }
HWY_INLINE void FromFloat(float v, hwy::bfloat16_t* p) { p->bits = FloatToBf16(v); }
HWY_INLINE void FromFloat(float v, hwy::float16_t* p) {
  const uint16_t bits = FloatToF16(v);
  hwy::CopyBytes<2>(&bits, p);
}

template <typename T>
HWY_INLINE void ToFloats(const T* from, int64_t count, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) StoreVector(LoadVector(from + i), to + i);
  for (; i < count; ++i) to[i] = ToFloat(from[i]);
}

template <typename T>
HWY_INLINE void FromFloats(const float* from, int64_t count, T* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) StoreVector(LoadVector(from + i), to + i);
  for (; i < count; ++i) FromFloat(from[i], to + i);
}

// Calls f with a pointer of the element type to element `offset` of the view.
template <typename F>
HWY_INLINE void WithType(const TensorView& t, int64_t offset, const F& f) {
  switch (t.dtype) {
    case DType::kF32:
      return f(t.As<float>() + offset);
    case DType::kBF16:
      return f(t.As<hwy::bfloat16_t>() + offset);
    case DType::kF16:
      return f(t.As<hwy::float16_t>() + offset);
    default:
      Fail(ErrorCode::kInternal, "cpu: element type ", NameOf(t.dtype));
  }
}

// `count` elements from `offset` as f32.
HWY_INLINE void LoadFloats(const TensorView& t, int64_t offset, int64_t count, float* to) {
  if (t.dtype == DType::kF8E4M3) {
    const auto* from = t.As<const uint8_t>() + offset;
    for (int64_t i = 0; i < count; ++i) to[i] = E4m3ToFloat(from[i]);
    return;
  }
  WithType(t, offset, [&](const auto* p) HWY_ATTR { ToFloats(p, count, to); });
}
HWY_INLINE void StoreFloats(const float* from, int64_t count, const TensorView& t, int64_t offset) {
  if (t.dtype == DType::kF8E4M3) {
    auto* to = t.As<uint8_t>() + offset;
    for (int64_t i = 0; i < count; ++i) to[i] = FloatToE4m3(from[i]);
    return;
  }
  WithType(t, offset, [&](auto* p) HWY_ATTR { FromFloats(from, count, p); });
}

// y[row, column … column + count) = values + bias; changes values.
HWY_INLINE void StoreOutputs(float* values, int64_t count, const TensorView& bias, int64_t column,
                             const TensorView& y, int64_t row) {
  if (!bias.empty()) {
    const float* b = bias.As<const float>() + column;
    for (int64_t i = 0; i < count; ++i) values[i] += b[i];
  }
  StoreFloats(values, count, y, row * y.strides[0] + column);
}

// sum[i] + a[2i]·b[2i] + a[2i+1]·b[2i+1] over the 16-bit halves of 32-bit lanes.
HWY_INLINE VI DotPairs(VI sum, VI a, VI b) {
#if HWY_TARGET == HWY_AVX3_DL
  // Debian's Highway 1.0.3 checks the CPU for AVX512_VNNI but does not name it to the compiler.
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_SSE4
  const hn::Repartition<int16_t, DI> d16;
  VI unused = hn::Zero(DI());
  return hn::ReorderWidenMulAccumulate(DI(), hn::BitCast(d16, a), hn::BitCast(d16, b), sum, unused);
#else
  const VI low =
      hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(a)), hn::ShiftRight<16>(hn::ShiftLeft<16>(b)));
  const VI high = hn::Mul(hn::ShiftRight<16>(a), hn::ShiftRight<16>(b));
  return hn::Add(sum, hn::Add(low, high));
#endif
}

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
