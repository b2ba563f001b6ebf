// The constructors of all pack formats; awq/pack/format.cc lists them.
#pragma once

#include <memory>

#include "awq/pack/format.h"

namespace awq {

std::unique_ptr<const PackFormat> MakeAwqGemmFormat();
std::unique_ptr<const PackFormat> MakeCompressedTensorsFormat();

}  // namespace awq
