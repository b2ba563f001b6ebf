#include "awq/backend/make_backend.h"

#include "awq/backend/ref/ref_backend.h"
#ifdef AWQ_WITH_CUDA
#include "awq/backend/cuda/cuda_backend.h"
#endif

namespace awq {
namespace {

std::unique_ptr<Backend> MakeCuda() {
#ifdef AWQ_WITH_CUDA
  return cuda::MakeCudaBackend();
#else
  Fail(ErrorCode::kUnsupported,
       "backend cuda: this program was built without CUDA; configure with -DAWQ_CUDA=ON");
#endif
}

}  // namespace

std::unique_ptr<Backend> MakeBackend(std::string_view name, int threads) {
  static_cast<void>(threads);
  if (name == "ref") return std::make_unique<RefBackend>();
  if (name == "cuda") return MakeCuda();
  Fail(ErrorCode::kInvalidArgument, "backend \"", name, "\": expected auto, cpu, cuda or ref");
}

}  // namespace awq
