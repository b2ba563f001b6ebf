// Dense products by cuBLASLt, row-major.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "awq/backend/cuda/stream.h"

namespace awq::cuda {

// Products of equal shapes, whose operands lie evenly apart: elements from each to the next.
struct BlasBatch {
  int64_t count = 1;
  int64_t a = 0, b = 0, c = 0;
};

class Blas {
 public:
  explicit Blas(std::shared_ptr<Stream> stream);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  // c[M, N] = beta · c + alpha · op(a) · op(b), f32 sums. a: [M, K], or [K, M] when transpose_a; b:
  // [K, N], or [N, K] when transpose_b; a and b of one type, c of it or F32. Rows may be strided.
  // The views are of the batch's first product. Throws kDevice when the library has no kernel.
  void Multiply(const TensorView& a, bool transpose_a, const TensorView& b, bool transpose_b,
                const TensorView& c, float alpha = 1.0f, float beta = 0.0f,
                const BlasBatch& batch = {});

 private:
  // Everything that the choice of an algorithm depends on.
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int, int, int, int,
                         int64_t, int64_t, int64_t, int64_t>;
  struct Plan;
  Plan& PlanFor(const TensorView& a, bool transpose_a, const TensorView& b, bool transpose_b,
                const TensorView& c, const BlasBatch& batch);

  std::shared_ptr<Stream> stream_;
  cublasLtHandle_t handle_ = nullptr;
  Tensor workspace_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace awq::cuda
