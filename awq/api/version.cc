#include "awq/api/version.h"

namespace awq {

std::string_view Version() { return AWQ_VERSION; }

}  // namespace awq
