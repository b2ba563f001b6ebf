#include "awq/backend/cuda/head_products.h"

namespace awq::cuda {
namespace {

TensorView Moved(const TensorView& t, int64_t elements) {
  TensorView out = t;
  out.data = t.As<char>() + elements * BitsOf(t.dtype) / 8;
  return out;
}

}  // namespace

void MultiplyHeads(Blas& blas, const Stack& w, const HeadSpan& span, bool transpose_w,
                   const TensorView& x, int64_t x_apart, const TensorView& y, int64_t y_apart) {
  const bool even = w.Apart() > 0;
  for (int64_t h = 0; h < (even ? 1 : span.count); ++h) {
    const TensorView& weight = dynamic_cast<const DenseWeight&>(w[span.first + h]).view();
    const BlasBatch batch = {
        .count = even ? span.count : 1, .a = x_apart, .b = w.Apart(), .c = y_apart};
    blas.Multiply(Moved(x, h * x_apart), false, weight, transpose_w, Moved(y, h * y_apart), 1.0f,
                  0.0f, batch);
  }
}

}  // namespace awq::cuda
