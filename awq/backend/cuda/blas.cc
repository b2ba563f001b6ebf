#include "awq/backend/cuda/blas.h"

#include <algorithm>

#include "awq/base/error.h"

namespace awq::cuda {
namespace {

constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;

void CheckLt(cublasStatus_t status, const char* what) {
  AWQ_CHECK(status == CUBLAS_STATUS_SUCCESS, kDevice, "cublasLt ", what, ": ",
            cublasLtGetStatusName(status));
}

cudaDataType_t DataType(DType type) {
  switch (type) {  // NOLINT(bugprone-branch-clone): constants that a linter without CUDA lacks
    case DType::kF32:
      return CUDA_R_32F;
    case DType::kF16:
      return CUDA_R_16F;
    case DType::kBF16:
      return CUDA_R_16BF;
    default:
      Fail(ErrorCode::kUnsupported, "backend cuda: products of type ", NameOf(type));
  }
}

// The largest power of two, up to 256, that divides the address, the length of a row and what is
// between products of a batch, in bytes.
int Alignment(const TensorView& t, int64_t apart) {
  const auto bits = reinterpret_cast<uintptr_t>(t.data) |
                    static_cast<uintptr_t>((t.strides[0] | apart) * BitsOf(t.dtype) / 8) | 256u;
  return static_cast<int>(bits & (~bits + 1));
}

}  // namespace

struct Blas::Plan {
  cublasLtMatmulDesc_t op = nullptr;
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t c = nullptr;
  cublasLtMatmulAlgo_t algorithm = {};

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    cublasLtMatrixLayoutDestroy(a);
    cublasLtMatrixLayoutDestroy(b);
    cublasLtMatrixLayoutDestroy(c);
    cublasLtMatmulDescDestroy(op);
  }
};

Blas::Blas(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {
  CheckLt(cublasLtCreate(&handle_), "create");
  workspace_ = stream_->Alloc(DType::kU8, {kWorkspaceBytes});
}

Blas::~Blas() {
  plans_.clear();
  cublasLtDestroy(handle_);
}

// The library is column-major: a row-major c[M, N] is its [N, M], so b comes first, then a.
Blas::Plan& Blas::PlanFor(const TensorView& a, bool transpose_a, const TensorView& b,
                          bool transpose_b, const TensorView& c, const BlasBatch& batch) {
  const int align_a = Alignment(a, batch.a);
  const int align_b = Alignment(b, batch.b);
  const int align_c = Alignment(c, batch.c);
  const int64_t k = transpose_a ? a.dim(0) : a.dim(1);
  const int types = static_cast<int>(a.dtype) * 16 + static_cast<int>(c.dtype);
  const int transposed = (transpose_a ? 1 : 0) + (transpose_b ? 2 : 0);
  const Key key{c.dim(0),     c.dim(1),     k,
                a.strides[0], b.strides[0], c.strides[0],
                types,        transposed,   std::min(align_a, align_b),
                align_c,      batch.count,  batch.a,
                batch.b,      batch.c};
  std::unique_ptr<Plan>& entry = plans_[key];
  if (entry) return *entry;

  auto plan = std::make_unique<Plan>();
  CheckLt(cublasLtMatmulDescCreate(&plan->op, CUBLAS_COMPUTE_32F, CUDA_R_32F), "descriptor");
  const cublasOperation_t op_b = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t op_a = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  CheckLt(cublasLtMatmulDescSetAttribute(plan->op, CUBLASLT_MATMUL_DESC_TRANSA, &op_b, sizeof op_b),
          "transpose");
  CheckLt(cublasLtMatmulDescSetAttribute(plan->op, CUBLASLT_MATMUL_DESC_TRANSB, &op_a, sizeof op_a),
          "transpose");
  const auto layout = [&](cublasLtMatrixLayout_t* out, const TensorView& t, int64_t apart) {
    CheckLt(cublasLtMatrixLayoutCreate(out, DataType(t.dtype), static_cast<uint64_t>(t.dim(1)),
                                       static_cast<uint64_t>(t.dim(0)),
                                       std::max(t.strides[0], t.dim(1))),
            "layout");
    if (batch.count == 1) return;
    const auto set = [&](cublasLtMatrixLayoutAttribute_t what, const auto& value) {
      CheckLt(cublasLtMatrixLayoutSetAttribute(*out, what, &value, sizeof value), "batch");
    };
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch.count));
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, apart);
  };
  layout(&plan->a, a, batch.a);
  layout(&plan->b, b, batch.b);
  layout(&plan->c, c, batch.c);
  cublasLtMatmulPreference_t preference = nullptr;
  CheckLt(cublasLtMatmulPreferenceCreate(&preference), "preference");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
    CheckLt(cublasLtMatmulPreferenceSetAttribute(preference, what, &value, sizeof value),
            "preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<size_t>(kWorkspaceBytes));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(align_b));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(align_a));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(align_c));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(align_c));
  cublasLtMatmulHeuristicResult_t result = {};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_, plan->op, plan->b, plan->a, plan->c, plan->c, preference, 1, &result, &found);
  cublasLtMatmulPreferenceDestroy(preference);
  AWQ_CHECK(status == CUBLAS_STATUS_SUCCESS && found > 0, kDevice,
            "cublasLt has no kernel for M=", c.dim(0), " N=", c.dim(1), " K=", k, " of ",
            NameOf(a.dtype), ", row strides ", a.strides[0], ", ", b.strides[0], ", ", c.strides[0],
            ": ", cublasLtGetStatusName(status));
  plan->algorithm = result.algo;
  entry = std::move(plan);
  return *entry;
}

void Blas::Multiply(const TensorView& a, bool transpose_a, const TensorView& b, bool transpose_b,
                    const TensorView& c, float alpha, float beta, const BlasBatch& batch) {
  if (c.NumElements() == 0) return;
  Plan& plan = PlanFor(a, transpose_a, b, transpose_b, c, batch);
  CheckLt(cublasLtMatmul(handle_, plan.op, &alpha, b.data, plan.b, a.data, plan.a, &beta, c.data,
                         plan.c, c.data, plan.c, &plan.algorithm, workspace_.view().data,
                         static_cast<size_t>(kWorkspaceBytes), stream_->get()),
          "matmul");
}

}  // namespace awq::cuda
