#include "awq/api/version.h"

#include "awq/api/internal/build_id.h"

namespace awq {

std::string_view Version() { return AWQ_VERSION; }

std::string_view BuildId() { return kBuildId; }

}  // namespace awq
