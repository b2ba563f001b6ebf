#include "awq/backend/cuda/linear.h"

#include <algorithm>

#include "awq/backend/cuda/dense_rows.h"
#include "awq/backend/cuda/dequantize.h"
#include "awq/backend/cuda/direct_q8.h"
#include "awq/backend/cuda/integer_q8.h"
#include "awq/backend/cuda/rows.h"
#include "awq/backend/cuda/staged_q8.h"
#include "awq/backend/cuda/wide_q8.h"

namespace awq::cuda {
namespace {

// Of weights as floats at a time: they stay in the L2 cache until they are multiplied.
constexpr int64_t kFloatBytes = int64_t{24} << 20;

void Dequantize(const Queue& queue, const DenseWeight& w, int64_t first, const TensorView& to) {
  Convert(queue, w.view().Rows(first, first + to.dim(0)), to);
}

LinearQ4 ProblemOf(const Q4Weight& w, const TensorView& x, const TensorView& bias,
                   const TensorView& y, std::optional<Activation> gate, bool same_sums) {
  return {.shape = w.shape(),
          .blocks = w.blocks(),
          .scale = w.scale(),
          .m = x.dim(0),
          .act = x.dtype,
          .out = y.dtype,
          .x = x.data,
          .x_stride = x.strides[0],
          .bias = bias.As<const float>(),
          .y = y.data,
          .y_stride = y.strides[0],
          .gate = gate,
          .same_sums = same_sums};
}

// Chips of sm_100 multiply by instructions of their own, which cuBLAS has, several times as fast as
// by mma: there floats pay off from where their making is a small part (docs/kernels.md).
bool PrefersFloats(const TensorView& x, const DeviceLimits& device) {
  constexpr int64_t kManyRows = 2048;
  return device.arch >= 100 && device.arch < 120 && x.dim(0) >= kManyRows;
}

}  // namespace

void LinearRunner::Run(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                       const TensorView& y) {
  if (const auto* q4 = dynamic_cast<const Q4Weight*>(&w)) {
    if (!RunQ4(*q4, x, bias, y)) RunAsFloats(*q4, x, bias, y);
  } else if (const auto* q8 = dynamic_cast<const Q8Weight*>(&w)) {
    if (!deterministic_ && PrefersIntegerQ8(*q8, x, y, device_)) {
      return IntegerQ8(queue_, device_, *q8, x, bias, y);
    }
    if (!deterministic_ && PrefersWideQ8(*q8, x, y, device_)) {
      return WideLinearQ8(queue_, device_, *q8, x, bias, y);
    }
    if (!deterministic_ && !PrefersFloats(x, device_) && PrefersStagedQ8(*q8, x, y, device_)) {
      return StagedLinearQ8(queue_, device_, *q8, x, bias, y, workspace_);
    }
    if (SupportsDirectQ8(*q8, x, y, device_) && (deterministic_ || x.dim(0) <= kMaxDirectQ8Rows)) {
      return DirectQ8(queue_, device_, *q8, x, bias, y);
    }
    RunAsFloats(*q8, x, bias, y);
  } else if (const auto* plain = dynamic_cast<const PlainWeight*>(&w)) {
    RunAsFloats(*plain, x, bias, y);
  } else {
    RunDense(dynamic_cast<const DenseWeight&>(w), x, bias, y);
  }
}

bool LinearRunner::RunQ4(const Q4Weight& w, const TensorView& x, const TensorView& bias,
                         const TensorView& y, std::optional<Activation> gate) {
  if (x.dtype == DType::kF32) return false;
  const LinearQ4 problem = ProblemOf(w, x, bias, y, gate, deterministic_);
  if (!deterministic_ && PrefersFloats(x, device_)) return false;
  const GemmRow* row = FindGemm(problem, device_);
  if (row == nullptr) return false;
  void* workspace = workspace_.Take(row->workspace(problem, device_));
  row->launch(problem, device_,
              {.stream = queue_.stream, .overlap = queue_.overlap, .workspace = workspace});
  return true;
}

void LinearRunner::RunGated(const Q4Weight& w, Activation kind, const TensorView& x,
                            const TensorView& bias, const TensorView& y) {
  if (RunQ4(w, x, bias, y, kind)) return;
  const Shape shape{x.dim(0), w.n()};
  void* memory = pairs_.Take(shape.NumElements() * BitsOf(x.dtype) / 8);
  const TensorView both(memory, x.dtype, shape, Device::kCuda);
  RunAsFloats(w, x, bias, both);
  Activate(queue_, kind, both.Columns(0, w.n() / 2), both.Columns(w.n() / 2, w.n()), y);
}

void LinearRunner::RunDense(const DenseWeight& w, const TensorView& x, const TensorView& bias,
                            const TensorView& y) {
  if (deterministic_ || PrefersDenseRows(w.view(), x)) {
    return DenseRows(queue_, w.view(), x, bias, y, true);
  }
  if (w.view().dtype != x.dtype) return RunAsFloats(w, x, bias, y);
  blas_.Multiply(x, false, w.view(), true, y);
  if (!bias.empty()) AddBias(queue_, y, bias);
}

void LinearRunner::Multiply(const TensorView& x, const TensorView& w, const TensorView& y) {
  if (deterministic_) return DenseRows(queue_, w, x, {}, y, false);
  blas_.Multiply(x, false, w, true, y);
}

template <typename W>
void LinearRunner::RunAsFloats(const W& w, const TensorView& x, const TensorView& bias,
                               const TensorView& y) {
  const int64_t row_bytes = w.k() * BitsOf(x.dtype) / 8;
  const int64_t step = std::clamp<int64_t>(kFloatBytes / row_bytes / 64 * 64, 64, w.n());
  void* memory = floats_.Take(step * row_bytes);
  for (int64_t first = 0; first < w.n(); first += step) {
    const int64_t rows = std::min(step, w.n() - first);
    const TensorView floats(memory, x.dtype, {rows, w.k()}, Device::kCuda);
    Dequantize(queue_, w, first, floats);
    Multiply(x, floats, y.Columns(first, first + rows));
  }
  if (!bias.empty()) AddBias(queue_, y, bias);
}

}  // namespace awq::cuda
