#include "awq/backend/cuda/bench/cublas_linear.h"

#include <algorithm>

#include "awq/base/error.h"

namespace awq::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr int kMaxCandidates = 6;

void CheckLt(cublasStatus_t status, const char* what) {
  AWQ_CHECK(status == CUBLAS_STATUS_SUCCESS, kDevice, "cublasLt ", what, ": status ",
            static_cast<int>(status));
}

}  // namespace

// Row-major y[M, N] is column-major [N, M]; so it computes (W as column-major [K, N])ᵀ · x.
CublasLinear::CublasLinear(int64_t m, int64_t n, int64_t k)
    : workspace_(AllocDevice<uint8_t>(int64_t{kWorkspaceBytes})) {
  CheckLt(cublasLtCreate(&handle_), "create");
  CheckLt(cublasLtMatmulDescCreate(&op_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "descriptor");
  const cublasOperation_t transpose = CUBLAS_OP_T;
  CheckLt(cublasLtMatmulDescSetAttribute(op_, CUBLASLT_MATMUL_DESC_TRANSA, &transpose,
                                         sizeof(transpose)),
          "transpose");
  const auto um = static_cast<uint64_t>(m);
  const auto un = static_cast<uint64_t>(n);
  const auto uk = static_cast<uint64_t>(k);
  CheckLt(cublasLtMatrixLayoutCreate(&w_, CUDA_R_16F, uk, un, k), "layout");
  CheckLt(cublasLtMatrixLayoutCreate(&x_, CUDA_R_16F, uk, um, k), "layout");
  CheckLt(cublasLtMatrixLayoutCreate(&y_, CUDA_R_16F, un, um, n), "layout");
  cublasLtMatmulPreference_t preference = nullptr;
  CheckLt(cublasLtMatmulPreferenceCreate(&preference), "preference");
  CheckLt(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &kWorkspaceBytes, sizeof(kWorkspaceBytes)),
          "workspace");
  cublasLtMatmulHeuristicResult_t results[kMaxCandidates];
  int found = 0;
  CheckLt(cublasLtMatmulAlgoGetHeuristic(handle_, op_, w_, x_, y_, y_, preference, kMaxCandidates,
                                         results, &found),
          "heuristic");
  cublasLtMatmulPreferenceDestroy(preference);
  for (int i = 0; i < found; ++i) candidates_.push_back(results[i].algo);
}

CublasLinear::~CublasLinear() {
  cublasLtMatrixLayoutDestroy(w_);
  cublasLtMatrixLayoutDestroy(x_);
  cublasLtMatrixLayoutDestroy(y_);
  cublasLtMatmulDescDestroy(op_);
  cublasLtDestroy(handle_);
}

void CublasLinear::Run(int candidate, const void* w, const void* x, void* y,
                       cudaStream_t stream) const {
  const float one = 1.0f;
  const float zero = 0.0f;
  CheckLt(cublasLtMatmul(handle_, op_, &one, w, w_, x, x_, &zero, y, y_, y, y_,
                         &candidates_[static_cast<size_t>(candidate)], workspace_.get(),
                         kWorkspaceBytes, stream),
          "matmul");
}

}  // namespace awq::cuda
