// Row-wise ops: Norm, Add, Scale, Rope, Activate, Embed, KvWrite.
#include <algorithm>
#include <cmath>
#include <vector>

#include "awq/backend/cpu/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "awq/backend/cpu/rows.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "awq/backend/cpu/simd-inl.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace awq::cpu::HWY_NAMESPACE {
namespace {

// Elements below which a second thread costs more than it brings.
constexpr int64_t kGrain = 8192;

// Σ (x[i] - mean)² and, with mean 0, the plain sum of squares.
HWY_INLINE float SumOfSquares(const float* x, int64_t n, float mean) {
  const DF d;
  const VF m = hn::Set(d, mean);
  VF sum0 = hn::Zero(d);
  VF sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const VF a = hn::Sub(hn::LoadU(d, x + i), m);
    const VF b = hn::Sub(hn::LoadU(d, x + i + kLanes), m);
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < n; ++i) sum += (x[i] - mean) * (x[i] - mean);
  return sum;
}

HWY_INLINE float Mean(const float* x, int64_t n) {
  const DF d;
  VF sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum = hn::Add(sum, hn::LoadU(d, x + i));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) total += x[i];
  return total / static_cast<float>(n);
}

// x = (x - mean) · factor · weight + bias, in place.
HWY_INLINE void ScaleRow(float* x, int64_t n, float mean, float factor, const float* weight,
                         const float* bias) {
  const DF d;
  const VF m = hn::Set(d, mean);
  const VF f = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const VF normed = hn::Mul(hn::Sub(hn::LoadU(d, x + i), m), f);
    const VF w = hn::LoadU(d, weight + i);
    const VF y =
        bias != nullptr ? hn::MulAdd(normed, w, hn::LoadU(d, bias + i)) : hn::Mul(normed, w);
    hn::StoreU(y, d, x + i);
  }
  for (; i < n; ++i) {
    x[i] = (x[i] - mean) * factor * weight[i] + (bias != nullptr ? bias[i] : 0.0f);
  }
}

// x holds a multiple of kLanes elements; in place.
HWY_NOINLINE void ScaleChunk(const ScaleArgs& args, float* x, int64_t n) {
  const DF d;
  const VF factor = hn::Set(d, args.factor);
  const VF limit = hn::Set(d, args.limit);
  const VF cap = hn::Set(d, args.softcap);
  for (int64_t i = 0; i < n; i += kLanes) {
    VF v = hn::Mul(hn::Load(d, x + i), factor);
    if (args.limit > 0) v = hn::Max(hn::Min(v, limit), hn::Neg(limit));
    if (args.softcap > 0) v = hn::Mul(hn::Tanh(d, hn::Div(v, cap)), cap);
    hn::Store(v, d, x + i);
  }
}

HWY_INLINE VF Sigmoid(VF x) {
  const DF d;
  const VF one = hn::Set(d, 1.0f);
  // Exp is valid up to 104; at 88 the quotient is 0 but for a denormal.
  const VF power = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)));
  return hn::Div(one, hn::Add(one, power));
}

// Φ(x), the normal distribution, from erfc by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7).
HWY_INLINE VF NormalCdf(VF x) {
  const DF d;
  const VF z = hn::Mul(hn::Abs(x), hn::Set(d, 0.70710678f));
  const VF one = hn::Set(d, 1.0f);
  const VF t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3275911f), z, one));
  VF p = hn::MulAdd(hn::Set(d, 1.061405429f), t, hn::Set(d, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.254829592f));
  const VF half_erfc =
      hn::Mul(hn::Mul(hn::Mul(p, t), hn::Set(d, 0.5f)), hn::Exp(d, hn::Neg(hn::Mul(z, z))));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), half_erfc, hn::Sub(one, half_erfc));
}

HWY_INLINE VF Activated(Activation kind, VF x) {
  const DF d;
  switch (kind) {
    case Activation::kSilu:
      return hn::Mul(x, Sigmoid(x));
    case Activation::kGelu:
      return hn::Mul(x, NormalCdf(x));
    case Activation::kGeluTanh: {  // (1 + tanh u) / 2 is the sigmoid of 2u
      const VF cube = hn::Mul(hn::Mul(x, x), hn::Mul(x, hn::Set(d, 0.044715f)));
      return hn::Mul(x, Sigmoid(hn::Mul(hn::Add(x, cube), hn::Set(d, 1.5957691216f))));
    }
    case Activation::kRelu:
      return hn::Max(x, hn::Zero(d));
  }
  return x;
}

// gate and up hold a multiple of kLanes elements; the result goes to up. gate may be null.
HWY_NOINLINE void ActivateChunk(Activation kind, const float* gate, float* up, int64_t n) {
  const DF d;
  for (int64_t i = 0; i < n; i += kLanes) {
    const VF u = hn::Load(d, up + i);
    const VF y =
        gate == nullptr ? Activated(kind, u) : hn::Mul(Activated(kind, hn::Load(d, gate + i)), u);
    hn::Store(y, d, up + i);
  }
}

}  // namespace

void Norm(Machine& machine, const NormArgs& args, const TensorView& x, const TensorView& weight,
          const TensorView& bias, const TensorView& y) {
  const int64_t n = x.dim(x.rank() - 1);
  machine.pool.For(x.NumRows(), DivUp(kGrain, n), [&](int64_t begin, int64_t end) HWY_ATTR {
    std::vector<float> row(static_cast<size_t>(n));
    for (int64_t r = begin; r < end; ++r) {
      LoadFloats(x, x.RowOffset(r), n, row.data());
      const float mean = args.kind == NormKind::kLayer ? Mean(row.data(), n) : 0.0f;
      const float variance = SumOfSquares(row.data(), n, mean) / static_cast<float>(n);
      const float factor = 1.0f / std::sqrt(variance + args.epsilon);
      ScaleRow(row.data(), n, mean, factor, weight.As<const float>(), bias.As<const float>());
      StoreFloats(row.data(), n, y, y.RowOffset(r));
    }
  });
}

void Add(Machine& machine, const TensorView& residual, const TensorView& x) {
  const int64_t n = x.dim(1);
  machine.pool.For(x.dim(0), DivUp(4 * kGrain, n), [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) {
      float* to = residual.As<float>() + r * residual.strides[0];
      WithType(x, r * x.strides[0], [&](const auto* from) HWY_ATTR {
        const DF d;
        int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes) {
          hn::StoreU(hn::Add(hn::LoadU(d, to + i), LoadVector(from + i)), d, to + i);
        }
        for (; i < n; ++i) to[i] += ToFloat(from[i]);
      });
    }
  });
}

void Scale(Machine& machine, const ScaleArgs& args, const TensorView& x, const TensorView& y) {
  constexpr int64_t kChunk = 1024;
  const int64_t chunks = DivUp(x.dim(1), kChunk);
  machine.pool.For(x.dim(0) * chunks, kGrain / kChunk, [&](int64_t begin, int64_t end) HWY_ATTR {
    HWY_ALIGN float values[kChunk] = {};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % chunks * kChunk;
      const int64_t count = std::min(kChunk, x.dim(1) - column);
      LoadFloats(x, i / chunks * x.strides[0] + column, count, values);
      ScaleChunk(args, values, RoundUp(count, kLanes));
      StoreFloats(values, count, y, i / chunks * y.strides[0] + column);
    }
  });
}

void Rope(Machine& machine, const RopeArgs& args, const TensorView& positions,
          const TensorView& x) {
  const int64_t heads = x.dim(1);
  const int64_t half = args.inverse_frequencies.dim(0);
  const float* frequencies = args.inverse_frequencies.As<const float>();
  machine.pool.For(x.dim(0), DivUp(kGrain / 4, heads * x.dim(2)),
                   [&](int64_t begin, int64_t end) HWY_ATTR {
                     std::vector<float> buffer(static_cast<size_t>(4 * half));
                     float* cosines = buffer.data();
                     float* sines = cosines + half;
                     float* head = sines + half;
                     for (int64_t t = begin; t < end; ++t) {
                       const auto position = static_cast<float>(positions.As<const int32_t>()[t]);
                       for (int64_t i = 0; i < half; ++i) {
                         const float angle = position * frequencies[i];
                         cosines[i] = std::cos(angle) * args.magnitude;
                         sines[i] = std::sin(angle) * args.magnitude;
                       }
                       for (int64_t h = 0; h < heads; ++h) {
                         const int64_t at = t * x.strides[0] + h * x.strides[1];
                         LoadFloats(x, at, 2 * half, head);
                         const int64_t step = args.interleaved ? 2 : 1;
                         const int64_t other = args.interleaved ? 1 : half;
                         for (int64_t i = 0; i < half; ++i) {
                           const float a = head[i * step];
                           const float b = head[i * step + other];
                           head[i * step] = a * cosines[i] - b * sines[i];
                           head[i * step + other] = b * cosines[i] + a * sines[i];
                         }
                         StoreFloats(head, 2 * half, x, at);
                       }
                     }
                   });
}

void Activate(Machine& machine, Activation kind, const TensorView& gate, const TensorView& up,
              const TensorView& y) {
  constexpr int64_t kChunk = 1024;
  const int64_t chunks = DivUp(up.dim(1), kChunk);
  machine.pool.For(up.dim(0) * chunks, kGrain / kChunk, [&](int64_t begin, int64_t end) HWY_ATTR {
    HWY_ALIGN float gates[kChunk] = {};
    HWY_ALIGN float values[kChunk] = {};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / chunks;
      const int64_t column = i % chunks * kChunk;
      const int64_t count = std::min(kChunk, up.dim(1) - column);
      if (!gate.empty()) LoadFloats(gate, row * gate.strides[0] + column, count, gates);
      LoadFloats(up, row * up.strides[0] + column, count, values);
      ActivateChunk(kind, gate.empty() ? nullptr : gates, values, RoundUp(count, kLanes));
      StoreFloats(values, count, y, row * y.strides[0] + column);
    }
  });
}

void Embed(Machine& machine, const TensorView& tokens, const TensorView& table,
           const TensorView& y) {
  const int64_t n = table.dim(1);
  machine.pool.For(y.dim(0), DivUp(4 * kGrain, n), [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t id = tokens.As<const int32_t>()[t];
      AWQ_CHECK(id >= 0 && id < table.dim(0), kInvalidArgument, "token ", id,
                " is outside the vocabulary of ", table.dim(0));
      LoadFloats(table, id * table.strides[0], n, y.As<float>() + t * y.strides[0]);
    }
  });
}

void KvWrite(Machine& machine, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache) {
  const int64_t heads = cache.kv_heads();
  const int64_t d = cache.keys.dim(3);
  const int64_t size = cache.page_size();
  const auto* start = batch.seq_start.As<const int32_t>();
  for (int64_t b = 0; b < batch.num_seqs(); ++b) {
    const int64_t first = batch.kv_len.As<const int32_t>()[b] - (start[b + 1] - start[b]);
    const auto* table = batch.block_table.As<const int32_t>() + b * batch.block_table.strides[0];
    const auto write = [&](int64_t begin, int64_t end) HWY_ATTR {
      std::vector<float> row(static_cast<size_t>(d));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t p = first + i;
        for (int64_t g = 0; g < heads; ++g) {
          const int64_t to = ((table[p / size] * heads + g) * size + p % size) * d;
          const int64_t t = start[b] + i;
          LoadFloats(k, t * k.strides[0] + g * d, d, row.data());
          StoreFloats(row.data(), d, cache.keys, to);
          if (v.empty()) continue;
          LoadFloats(v, t * v.strides[0] + g * d, d, row.data());
          StoreFloats(row.data(), d, cache.values, to);
        }
      }
    };
    machine.pool.For(start[b + 1] - start[b], DivUp(kGrain, heads * d), write);
  }
}

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace awq::cpu {
HWY_EXPORT(Norm);
HWY_EXPORT(Add);
HWY_EXPORT(Scale);
HWY_EXPORT(Rope);
HWY_EXPORT(Activate);
HWY_EXPORT(Embed);
HWY_EXPORT(KvWrite);
HWY_EXPORT(TargetName);
void Norm(Machine& machine, const NormArgs& args, const TensorView& x, const TensorView& weight,
          const TensorView& bias, const TensorView& y) {
  HWY_DYNAMIC_DISPATCH(Norm)(machine, args, x, weight, bias, y);
}
void Add(Machine& machine, const TensorView& residual, const TensorView& x) {
  HWY_DYNAMIC_DISPATCH(Add)(machine, residual, x);
}
void Scale(Machine& machine, const ScaleArgs& args, const TensorView& x, const TensorView& y) {
  HWY_DYNAMIC_DISPATCH(Scale)(machine, args, x, y);
}
void Rope(Machine& machine, const RopeArgs& args, const TensorView& positions,
          const TensorView& x) {
  HWY_DYNAMIC_DISPATCH(Rope)(machine, args, positions, x);
}
void Activate(Machine& machine, Activation kind, const TensorView& gate, const TensorView& up,
              const TensorView& y) {
  HWY_DYNAMIC_DISPATCH(Activate)(machine, kind, gate, up, y);
}
void Embed(Machine& machine, const TensorView& tokens, const TensorView& table,
           const TensorView& y) {
  HWY_DYNAMIC_DISPATCH(Embed)(machine, tokens, table, y);
}
void KvWrite(Machine& machine, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache) {
  HWY_DYNAMIC_DISPATCH(KvWrite)(machine, batch, k, v, cache);
}
const char* TargetName() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }
}  // namespace awq::cpu
#endif
