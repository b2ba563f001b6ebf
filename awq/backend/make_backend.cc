#include "awq/backend/make_backend.h"

#include "awq/backend/cpu/cpu_backend.h"
#include "awq/backend/ref/ref_backend.h"
#ifdef AWQ_WITH_CUDA
#include "awq/backend/cuda/cuda_backend.h"
#include "awq/backend/cuda/device_limits.h"
#endif

namespace awq {
namespace {

std::unique_ptr<Backend> MakeCuda([[maybe_unused]] int threads,
                                  [[maybe_unused]] bool deterministic) {
#ifdef AWQ_WITH_CUDA
  return cuda::MakeCudaBackend(threads, deterministic);
#else
  Fail(ErrorCode::kUnsupported,
       "backend cuda: this program was built without CUDA; configure with -DAWQ_CUDA=ON");
#endif
}

}  // namespace

std::unique_ptr<Backend> MakeBackend(std::string_view name, int threads, bool deterministic) {
  if (name == "ref") return std::make_unique<RefBackend>();
  if (name == "cuda") return MakeCuda(threads, deterministic);
  std::string note;
#ifdef AWQ_WITH_CUDA
  if (name == "auto") {
    try {
      return MakeCuda(threads, deterministic);
    } catch (const Error& e) {
      if (cuda::HasDriver()) note = Cat("; ", e.what());
    }
  }
#endif
  if (name == "cpu" || name == "auto") {
    return std::make_unique<cpu::CpuBackend>(threads, deterministic, true, note);
  }
  Fail(ErrorCode::kInvalidArgument, "backend \"", name, "\": expected auto, cpu, cuda or ref");
}

}  // namespace awq
