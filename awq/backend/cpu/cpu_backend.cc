#include "awq/backend/cpu/cpu_backend.h"

#include "awq/backend/cpu/kernels.h"
#include "awq/ops/checks.h"

namespace awq::cpu {

CpuBackend::CpuBackend(int threads, bool deterministic, bool tiles)
    : pool_(threads), deterministic_(deterministic), tiles_(tiles) {}

BackendInfo CpuBackend::Info() const {
  return {
      .name = "cpu",
      .device = Cat(TargetName(), ", ", pool_.size(), pool_.size() == 1 ? " thread" : " threads"),
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
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  if (const auto* quantized = dynamic_cast<const PackedQuantized*>(&w)) {
    LinearQuantized(machine, *quantized, x, bias, y);
  } else {
    LinearDense(machine, dynamic_cast<const PackedDense&>(w), x, bias, y);
  }
}

void CpuBackend::Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
                      const TensorView& bias, const TensorView& y) {
  CheckNorm(x, weight, bias, y);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Norm(machine, args, x, weight, bias, y);
}

void CpuBackend::Add(const TensorView& residual, const TensorView& x) {
  CheckAdd(residual, x);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Add(machine, residual, x);
}

void CpuBackend::Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) {
  CheckScale(x, y);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Scale(machine, args, x, y);
}

void CpuBackend::Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) {
  CheckRope(args, positions, x);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Rope(machine, args, positions, x);
}

void CpuBackend::Activate(Activation kind, const TensorView& gate, const TensorView& up,
                          const TensorView& y) {
  CheckActivate(gate, up, y);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Activate(machine, kind, gate, up, y);
}

void CpuBackend::KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
                         const PagedKv& cache) {
  CheckKvWrite(batch, k, v, cache);
  CheckHostBatch(batch, cache);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::KvWrite(machine, batch, k, v, cache);
}

void CpuBackend::Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                           const PagedKv& cache, const TensorView& y) {
  CheckAttention(args, batch, q, cache, y);
  CheckHostBatch(batch, cache);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Attention(machine, args, batch, q, {}, cache, y);
}

void CpuBackend::MlaAttention(const AttentionArgs& args, const Batch& batch,
                              const TensorView& q_latent, const TensorView& q_rope,
                              const PagedKv& cache, const TensorView& y) {
  CheckMlaAttention(batch, q_latent, q_rope, cache, y);
  CheckHostBatch(batch, cache);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Attention(machine, args, batch, q_latent, q_rope, {cache.keys, cache.keys}, y);
}

void CpuBackend::Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) {
  CheckEmbed(tokens, table, y);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Embed(machine, tokens, table, y);
}

void CpuBackend::Gram(const TensorView& x, const TensorView& gram) {
  CheckGram(x, gram);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::Gram(machine, x, gram);
}

void CpuBackend::CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) {
  CheckCrossGram(x, y, gram);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::CrossGram(machine, x, y, gram);
}

void CpuBackend::AbsSum(const TensorView& x, const TensorView& sums) {
  CheckAbsSum(x, sums);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::AbsSum(machine, x, sums);
}

void CpuBackend::MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
                        const TensorView& c) {
  CheckMatMul(a, b, transpose_b, c);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::MatMul(machine, a, b, transpose_b, c);
}

int64_t CpuBackend::Cholesky(const TensorView& a) {
  CheckCholesky(a);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  return cpu::Cholesky(machine, a);
}

void CpuBackend::SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) {
  CheckSolveTriangular(l, b);
  Machine machine{pool_, scratch_, deterministic_, tiles_};
  cpu::SolveTriangular(machine, l, transpose, b);
}

}  // namespace awq::cpu
