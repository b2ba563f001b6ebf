#include "awq/backend/cpu/cpu_backend.h"

#include "awq/backend/cpu/kernels.h"
#include "awq/ops/checks.h"

namespace awq::cpu {

CpuBackend::CpuBackend(int threads, bool deterministic, bool tiles, std::string note)
    : pool_(threads), machine_{pool_, scratch_, deterministic, tiles}, note_(std::move(note)) {}

BackendInfo CpuBackend::Info() const {
  return {.name = "cpu",
          .device = Cat(TargetName(), ", ", pool_.size(),
                        pool_.size() == 1 ? " thread" : " threads", note_),
          .threads = pool_.size(),
          .activation = DType::kF32};
}

std::unique_ptr<PackedWeight> CpuBackend::PrepareDense(const TensorView& w, DType type) {
  AWQ_CHECK(type == DType::kF32 || type == DType::kBF16 || type == DType::kF16, kUnsupported,
            "dense weights of type ", NameOf(type), " on the CPU; supported: F32, BF16, F16");
  return std::make_unique<PackedDense>(pool_, w, type);
}

std::unique_ptr<PackedWeight> CpuBackend::PrepareQuantized(const QuantizedWeight& w) {
  return std::make_unique<PackedQuantized>(pool_, w);
}

void CpuBackend::Linear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                        const TensorView& y) {
  CheckLinear(w, x, bias, y);
  if (const auto* quantized = dynamic_cast<const PackedQuantized*>(&w)) {
    LinearQuantized(machine_, *quantized, x, bias, y);
  } else {
    LinearDense(machine_, dynamic_cast<const PackedDense&>(w), x, bias, y);
  }
}

void CpuBackend::Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
                      const TensorView& bias, const TensorView& y) {
  CheckNorm(x, weight, bias, y);
  cpu::Norm(machine_, args, x, weight, bias, y);
}

void CpuBackend::Add(const TensorView& residual, const TensorView& x) {
  CheckAdd(residual, x);
  cpu::Add(machine_, residual, x);
}

void CpuBackend::Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) {
  CheckScale(x, y);
  cpu::Scale(machine_, args, x, y);
}

void CpuBackend::Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) {
  CheckRope(args, positions, x);
  cpu::Rope(machine_, args, positions, x);
}

void CpuBackend::Activate(Activation kind, const TensorView& gate, const TensorView& up,
                          const TensorView& y) {
  CheckActivate(gate, up, y);
  cpu::Activate(machine_, kind, gate, up, y);
}

void CpuBackend::KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
                         const PagedKv& cache) {
  CheckKvWrite(batch, k, v, cache);
  CheckHostBatch(batch, cache);
  cpu::KvWrite(machine_, batch, k, v, cache);
}

void CpuBackend::Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                           const PagedKv& cache, const TensorView& y) {
  CheckAttention(args, batch, q, cache, y);
  CheckHostBatch(batch, cache);
  cpu::Attention(machine_, args, batch, q, {}, cache, y);
}

void CpuBackend::MlaAttention(const AttentionArgs& args, const Batch& batch,
                              const TensorView& q_latent, const TensorView& q_rope,
                              const PagedKv& cache, const TensorView& y) {
  CheckMlaAttention(batch, q_latent, q_rope, cache, y);
  CheckHostBatch(batch, cache);
  cpu::Attention(machine_, args, batch, q_latent, q_rope, {cache.keys, cache.keys}, y);
}

void CpuBackend::Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) {
  CheckEmbed(tokens, table, y);
  cpu::Embed(machine_, tokens, table, y);
}

void CpuBackend::Gram(const TensorView& x, const TensorView& gram) {
  CheckGram(x, gram);
  cpu::Gram(machine_, x, gram);
}

void CpuBackend::CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) {
  CheckCrossGram(x, y, gram);
  cpu::CrossGram(machine_, x, y, gram);
}

void CpuBackend::AbsSum(const TensorView& x, const TensorView& sums) {
  CheckAbsSum(x, sums);
  cpu::AbsSum(machine_, x, sums);
}

void CpuBackend::MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
                        const TensorView& c) {
  CheckMatMul(a, b, transpose_b, c);
  cpu::MatMul(machine_, a, b, transpose_b, c);
}

int64_t CpuBackend::Cholesky(const TensorView& a) {
  CheckCholesky(a);
  return cpu::Cholesky(machine_, a);
}

void CpuBackend::SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) {
  CheckSolveTriangular(l, b);
  cpu::SolveTriangular(machine_, l, transpose, b);
}

}  // namespace awq::cpu
