// EmbedBlocks: the residual stream before the first layer.
#pragma once

#include <functional>

#include "awq/checkpoint/weights.h"
#include "awq/ops/backend.h"
#include "awq/quant/activations.h"

namespace awq {

// The embeddings of all blocks become the store's content; nothing is committed.
void EmbedBlocks(Backend& backend, const WeightSource& source, ActivationStore& store,
                 const std::function<void()>& poll);

}  // namespace awq
