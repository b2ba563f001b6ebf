// Drawing of tokens from rows of logits.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/ops/args.h"

namespace awq::cuda {

// As Backend::Sample; arguments have passed CheckSample. Asynchronous.
void Sample(const Queue& queue, const SampleArgs& args, const TensorView& logits,
            const TensorView& ids);

}  // namespace awq::cuda
