#include "awq/backend/ref/ref_backend.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "awq/backend/ref/loops.h"
#include "awq/base/memory.h"
#include "awq/ops/checks.h"
#include "awq/ops/sample_row.h"

namespace awq {
namespace {

using ref::At;
using ref::CacheOffset;
using ref::Dot;
using ref::LoadRow;

// f32 [N, K], whatever it was made from; 16-bit types have been rounded to.
class RefWeight : public PackedWeight {
 public:
  explicit RefWeight(Tensor w) : PackedWeight(w.shape()[0], w.shape()[1]), w_(std::move(w)) {}
  int64_t NumBytes() const override { return w_.view().NumBytes(); }
  const float* Row(int64_t row) const { return w_.As<const float>() + row * k(); }

 private:
  Tensor w_;
};

// Dense f32 elements of a matrix.
std::vector<float> LoadMatrix(const TensorView& t) {
  std::vector<float> out;
  for (int64_t r = 0; r < t.dim(0); ++r) {
    const std::vector<float> row = LoadRow(t, At(t, r), t.dim(1));
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

double Activated(Activation kind, double x) {
  switch (kind) {
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
    case Activation::kGeluTanh:
      return 0.5 * x *
             (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return std::max(x, 0.0);
  }
  Fail(ErrorCode::kInternal, "activate: unknown kind");
}

std::span<float> RowOf(const TensorView& matrix, int64_t row) {
  return {matrix.As<float>() + At(matrix, row), static_cast<size_t>(matrix.dim(1))};
}

double Capped(double v, double softcap) {
  return softcap > 0 ? softcap * std::tanh(v / softcap) : v;
}

}  // namespace

BackendInfo RefBackend::Info() const {
  return {.name = "ref", .device = "plain loops", .threads = 1, .activation = DType::kF32};
}

int64_t RefBackend::FreeMemory() { return AvailableMemory(); }

Tensor RefBackend::Alloc(DType type, const Shape& shape) {
  TensorView view(nullptr, type, shape);
  constexpr size_t kAlign = 64;
  const size_t bytes = (static_cast<size_t>(view.NumBytes()) + kAlign) / kAlign * kAlign;
  void* data = std::aligned_alloc(kAlign, bytes);
  AWQ_CHECK(data != nullptr, kOutOfMemory, "cannot allocate ", bytes, " bytes for ", shape);
  view.data = data;
  return Tensor(view, std::shared_ptr<const void>(data, [data](const void*) { std::free(data); }));
}

void RefBackend::Copy(const TensorView& to, const TensorView& from) {
  AWQ_CHECK(
      to.dtype == from.dtype && to.shape == from.shape && to.IsContiguous() && from.IsContiguous(),
      kInternal, "copy: expected equal dense views, found ", NameOf(to.dtype), " ", to.shape,
      " and ", NameOf(from.dtype), " ", from.shape);
  if (to.NumBytes() > 0) std::memcpy(to.data, from.data, static_cast<size_t>(to.NumBytes()));
}

std::unique_ptr<PackedWeight> RefBackend::PrepareDense(const TensorView& w, DType type) {
  return std::make_unique<RefWeight>(ConvertTo(ConvertTo(w, type).view(), DType::kF32));
}

std::unique_ptr<PackedWeight> RefBackend::PrepareQuantized(const QuantizedWeight& w) {
  return std::make_unique<RefWeight>(Dequantize(w));
}

void RefBackend::Linear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                        const TensorView& y) {
  const LinearDims d = CheckLinear(w, x, bias, y);
  const auto& weight = dynamic_cast<const RefWeight&>(w);
  for (int64_t m = 0; m < d.m; ++m) {
    const std::vector<float> row = LoadRow(x, At(x, m), d.k);
    for (int64_t n = 0; n < d.n; ++n) {
      const double b = bias.empty() ? 0.0 : bias.As<const float>()[n];
      StoreFloat(y, At(y, m) + n, static_cast<float>(Dot(row.data(), weight.Row(n), d.k) + b));
    }
  }
}

void RefBackend::Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
                      const TensorView& bias, const TensorView& y) {
  const RowDims d = CheckNorm(x, weight, bias, y);
  for (int64_t r = 0; r < d.rows; ++r) {
    const std::vector<float> row = LoadRow(x, x.RowOffset(r), d.columns);
    double mean = 0;
    if (args.kind == NormKind::kLayer) {
      for (float v : row) mean += v;
      mean /= static_cast<double>(d.columns);
    }
    double squares = 0;
    for (float v : row) squares += (v - mean) * (v - mean);
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(d.columns) + args.epsilon);
    for (int64_t c = 0; c < d.columns; ++c) {
      const double b = bias.empty() ? 0.0 : bias.As<const float>()[c];
      const double normed = (row[static_cast<size_t>(c)] - mean) * inverse;
      StoreFloat(y, y.RowOffset(r) + c,
                 static_cast<float>(normed * weight.As<const float>()[c] + b));
    }
  }
}

void RefBackend::Add(const TensorView& residual, const TensorView& x) {
  const RowDims d = CheckAdd(residual, x);
  for (int64_t r = 0; r < d.rows; ++r) {
    float* to = residual.As<float>() + At(residual, r);
    for (int64_t c = 0; c < d.columns; ++c) to[c] += LoadFloat(x, At(x, r) + c);
  }
}

void RefBackend::Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) {
  const RowDims d = CheckScale(x, y);
  const double limit =
      args.limit > 0 ? static_cast<double>(args.limit) : std::numeric_limits<double>::infinity();
  for (int64_t r = 0; r < d.rows; ++r) {
    for (int64_t c = 0; c < d.columns; ++c) {
      const double v = LoadFloat(x, At(x, r) + c) * static_cast<double>(args.factor);
      StoreFloat(y, At(y, r) + c,
                 static_cast<float>(Capped(std::clamp(v, -limit, limit), args.softcap)));
    }
  }
}

void RefBackend::Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) {
  const HeadDims d = CheckRope(args, positions, x);
  const int64_t half = args.inverse_frequencies.dim(0);
  for (int64_t t = 0; t < d.tokens; ++t) {
    const auto position = static_cast<float>(positions.As<const int32_t>()[t]);
    for (int64_t i = 0; i < half; ++i) {
      // The angle is rounded to f32, as the models were trained with.
      const float angle = position * args.inverse_frequencies.As<const float>()[i];
      const double c = std::cos(static_cast<double>(angle)) * args.magnitude;
      const double s = std::sin(static_cast<double>(angle)) * args.magnitude;
      for (int64_t h = 0; h < d.heads; ++h) {
        const int64_t first = At(x, t, h) + (args.interleaved ? 2 * i : i);
        const int64_t second = args.interleaved ? first + 1 : first + half;
        const double a = LoadFloat(x, first);
        const double b = LoadFloat(x, second);
        StoreFloat(x, first, static_cast<float>(a * c - b * s));
        StoreFloat(x, second, static_cast<float>(b * c + a * s));
      }
    }
  }
}

void RefBackend::Activate(Activation kind, const TensorView& gate, const TensorView& up,
                          const TensorView& y) {
  const RowDims d = CheckActivate(gate, up, y);
  for (int64_t r = 0; r < d.rows; ++r) {
    for (int64_t c = 0; c < d.columns; ++c) {
      const double u = LoadFloat(up, At(up, r) + c);
      const double v =
          gate.empty() ? Activated(kind, u) : Activated(kind, LoadFloat(gate, At(gate, r) + c)) * u;
      StoreFloat(y, At(y, r) + c, static_cast<float>(v));
    }
  }
}

void RefBackend::KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
                         const PagedKv& cache) {
  const HeadDims d = CheckKvWrite(batch, k, v, cache);
  CheckHostBatch(batch, cache);
  const auto* start = batch.seq_start.As<const int32_t>();
  for (int64_t b = 0; b < batch.num_seqs(); ++b) {
    for (int64_t t = start[b]; t < start[b + 1]; ++t) {
      const int64_t p = batch.kv_len.As<const int32_t>()[b] - (start[b + 1] - t);
      for (int64_t g = 0; g < d.heads; ++g) {
        const int64_t to = CacheOffset(batch, cache, b, p, g);
        for (int64_t i = 0; i < d.head_size; ++i) {
          StoreFloat(cache.keys, to + i, LoadFloat(k, At(k, t, g) + i));
          if (!v.empty()) StoreFloat(cache.values, to + i, LoadFloat(v, At(v, t, g) + i));
        }
      }
    }
  }
}

void RefBackend::Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                           const PagedKv& cache, const TensorView& y) {
  const HeadDims d = CheckAttention(args, batch, q, cache, y);
  CheckHostBatch(batch, cache);
  const auto* start = batch.seq_start.As<const int32_t>();
  const int64_t queries_per_kv = d.heads / cache.kv_heads();
  for (int64_t b = 0; b < batch.num_seqs(); ++b) {
    for (int64_t t = start[b]; t < start[b + 1]; ++t) {
      const int64_t p = batch.kv_len.As<const int32_t>()[b] - (start[b + 1] - t);
      const int64_t first = args.window > 0 ? std::max<int64_t>(0, p - args.window + 1) : 0;
      for (int64_t h = 0; h < d.heads; ++h) {
        const int64_t g = h / queries_per_kv;
        const std::vector<float> query = LoadRow(q, At(q, t, h), d.head_size);
        const double slope = args.alibi_slopes.empty() ? 0.0 : args.alibi_slopes.As<float>()[h];
        std::vector<double> scores;
        for (int64_t s = first; s <= p; ++s) {
          const std::vector<float> key =
              LoadRow(cache.keys, CacheOffset(batch, cache, b, s, g), d.head_size);
          const double score = Dot(query.data(), key.data(), d.head_size) * args.scale;
          scores.push_back(Capped(score, args.softcap) + slope * static_cast<double>(s - p));
        }
        const double max = *std::max_element(scores.begin(), scores.end());
        double total = 0;
        for (double& s : scores) total += s = std::exp(s - max);
        std::vector<double> sum(static_cast<size_t>(d.head_size));
        for (int64_t s = first; s <= p; ++s) {
          const double weight = scores[static_cast<size_t>(s - first)] / total;
          const int64_t from = CacheOffset(batch, cache, b, s, g);
          for (int64_t i = 0; i < d.head_size; ++i) {
            sum[static_cast<size_t>(i)] += weight * LoadFloat(cache.values, from + i);
          }
        }
        for (int64_t i = 0; i < d.head_size; ++i) {
          StoreFloat(y, At(y, t, h) + i, static_cast<float>(sum[static_cast<size_t>(i)]));
        }
      }
    }
  }
}

void RefBackend::Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) {
  const RowDims d = CheckEmbed(tokens, table, y);
  for (int64_t t = 0; t < d.rows; ++t) {
    const int32_t id = tokens.As<const int32_t>()[t];
    AWQ_CHECK(id >= 0 && id < table.dim(0), kInvalidArgument, "token ", id,
              " is outside the vocabulary of ", table.dim(0));
    for (int64_t i = 0; i < d.columns; ++i) {
      StoreFloat(y, At(y, t) + i, LoadFloat(table, At(table, id) + i));
    }
  }
}

void RefBackend::GatherRows(const TensorView& from, const TensorView& rows, const TensorView& to) {
  const RowDims d = CheckGatherRows(from, rows, to);
  for (int64_t i = 0; i < d.rows; ++i) {
    const int32_t row = rows.As<const int32_t>()[i];
    AWQ_CHECK(row >= 0 && row < from.dim(0), kInternal, "gather: row ", row, " of ", from.dim(0));
    std::memcpy(to.As<float>() + At(to, i), from.As<const float>() + At(from, row),
                static_cast<size_t>(d.columns) * sizeof(float));
  }
}

void RefBackend::ArgMax(const TensorView& logits, const TensorView& ids) {
  const RowDims d = CheckArgMax(logits, ids);
  for (int64_t r = 0; r < d.rows; ++r) ids.As<int32_t>()[r] = ArgMaxRow(RowOf(logits, r));
}

void RefBackend::Advance(const AdvanceArgs& args, const TensorView& ids) {
  const RowDims d = CheckAdvance(args, ids);
  int32_t& next = *args.next.As<int32_t>();
  int32_t* record = args.record.As<int32_t>() + next * d.columns;
  for (int64_t r = 0; r < d.columns; ++r) {
    record[r] = args.tokens.As<int32_t>()[r] = ids.As<const int32_t>()[r];
    ++args.positions.As<int32_t>()[r];
    ++args.kv_len.As<int32_t>()[r];
  }
  next = static_cast<int32_t>((next + 1) % d.rows);
}

void RefBackend::Sample(const SampleArgs& args, const TensorView& logits, const TensorView& ids) {
  const RowDims d = CheckSample(args, logits, ids);
  const auto width = static_cast<size_t>(args.seen.empty() ? 0 : args.seen.dim(1));
  for (int64_t r = 0; r < d.rows; ++r) {
    const auto* random = args.random.As<const uint32_t>() + At(args.random, r);
    SampleRow row{.temperature = args.temperature.As<const float>()[r],
                  .top_k = args.top_k.As<const int32_t>()[r],
                  .top_p = args.top_p.As<const float>()[r],
                  .most_distance = args.most_distance.As<const float>()[r],
                  .repetition = args.repetition.As<const float>()[r],
                  .random = random[0] | static_cast<uint64_t>(random[1]) << 32};
    if (width > 0) {
      row.seen = {args.seen.As<const int32_t>() + At(args.seen, r), width};
      row.subtract = {args.subtract.As<const float>() + At(args.subtract, r), width};
    }
    ids.As<int32_t>()[r] = DrawFromRow(row, RowOf(logits, r));
  }
}

void RefBackend::Gram(const TensorView& x, const TensorView& gram) {
  const RowDims d = CheckGram(x, gram);
  const std::vector<float> rows = LoadMatrix(x);
  for (int64_t i = 0; i < d.columns; ++i) {
    for (int64_t j = 0; j < d.columns; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < d.rows; ++t) {
        const float* row = rows.data() + t * d.columns;
        sum += static_cast<double>(row[i]) * static_cast<double>(row[j]);
      }
      gram.As<float>()[At(gram, i) + j] += static_cast<float>(sum);
    }
  }
}

void RefBackend::CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) {
  const RowDims d = CheckCrossGram(x, y, gram);
  const std::vector<float> left = LoadMatrix(x);
  const std::vector<float> right = LoadMatrix(y);
  const int64_t k = y.dim(1);
  for (int64_t i = 0; i < d.columns; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < d.rows; ++t) {
        sum += static_cast<double>(left[static_cast<size_t>(t * d.columns + i)]) *
               static_cast<double>(right[static_cast<size_t>(t * k + j)]);
      }
      gram.As<float>()[At(gram, i) + j] += static_cast<float>(sum);
    }
  }
}

void RefBackend::AbsSum(const TensorView& x, const TensorView& sums) {
  const RowDims d = CheckAbsSum(x, sums);
  for (int64_t k = 0; k < d.columns; ++k) {
    double sum = 0;
    for (int64_t t = 0; t < d.rows; ++t) sum += std::abs(LoadFloat(x, At(x, t) + k));
    sums.As<float>()[k] += static_cast<float>(sum);
  }
}

void RefBackend::MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
                        const TensorView& c) {
  const LinearDims d = CheckMatMul(a, b, transpose_b, c);
  for (int64_t m = 0; m < d.m; ++m) {
    for (int64_t n = 0; n < d.n; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < d.k; ++k) {
        const double right = b.As<const float>()[transpose_b ? At(b, n) + k : At(b, k) + n];
        sum += static_cast<double>(a.As<const float>()[At(a, m) + k]) * right;
      }
      c.As<float>()[At(c, m) + n] = static_cast<float>(sum);
    }
  }
}

int64_t RefBackend::Cholesky(const TensorView& a) {
  const int64_t k = CheckCholesky(a);
  std::vector<double> l(static_cast<size_t>(k * k));
  for (int64_t j = 0; j < k; ++j) {
    for (int64_t i = j; i < k; ++i) {
      double sum = a.As<const float>()[At(a, i) + j];
      for (int64_t m = 0; m < j; ++m) {
        sum -= l[static_cast<size_t>(i * k + m)] * l[static_cast<size_t>(j * k + m)];
      }
      if (i == j && !(sum > 0)) return j;
      l[static_cast<size_t>(i * k + j)] =
          i == j ? std::sqrt(sum) : sum / l[static_cast<size_t>(j * k + j)];
    }
  }
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      a.As<float>()[At(a, i) + j] = static_cast<float>(l[static_cast<size_t>(i * k + j)]);
    }
  }
  return -1;
}

void RefBackend::SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) {
  const RowDims d = CheckSolveTriangular(l, b);
  const auto factor = [&](int64_t i, int64_t j) -> double { return l.As<float>()[At(l, i) + j]; };
  std::vector<double> x(static_cast<size_t>(d.columns));
  for (int64_t r = 0; r < d.rows; ++r) {
    float* row = b.As<float>() + At(b, r);
    // x · lᵀ = b runs forwards through the columns, x · l = b backwards.
    for (int64_t step = 0; step < d.columns; ++step) {
      const int64_t c = transpose ? step : d.columns - 1 - step;
      double sum = row[c];
      for (int64_t j = transpose ? 0 : c + 1; j < (transpose ? c : d.columns); ++j) {
        sum -= x[static_cast<size_t>(j)] * (transpose ? factor(c, j) : factor(j, c));
      }
      x[static_cast<size_t>(c)] = sum / factor(c, c);
    }
    for (int64_t c = 0; c < d.columns; ++c) row[c] = static_cast<float>(x[static_cast<size_t>(c)]);
  }
}

}  // namespace awq
