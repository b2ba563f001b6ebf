// Which models' layers a backend may run as one call for one token.
#pragma once

#include <memory>
#include <span>

#include "awq/nn/decoder_layer.h"

namespace awq {

// Null where a layer is of another kind than Backend::Decode's or the backend has no such call. The
// layers must outlive it, where they are.
std::unique_ptr<PackedDecoder> PackDecoder(Backend& backend, const ModelSpec& model,
                                           std::span<const DecoderLayer> layers);

}  // namespace awq
