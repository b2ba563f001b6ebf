#include "awq/api/internal/heldout_text.h"

#include <filesystem>

#include "awq/base/file.h"
#include "awq/checkpoint/manifest.h"

extern "C" {
// NOLINTBEGIN(readability-identifier-naming): the names that EmbedFile.cmake gives
extern const unsigned char awq_heldout_text[];
extern const size_t awq_heldout_text_size;
// NOLINTEND(readability-identifier-naming)
}

namespace awq {

HeldOutText ReadHeldOutText(const std::string& source) {
  HeldOutText out;
  if (source == "builtin") {
    out.name = source;
    out.content.assign(reinterpret_cast<const char*>(awq_heldout_text), awq_heldout_text_size);
  } else {
    out.name = std::filesystem::path(source).filename().string();
    out.content = ReadFile(source);
  }
  out.sha256 = Sha256OfText(out.content);
  return out;
}

}  // namespace awq
