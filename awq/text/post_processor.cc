#include "awq/text/post_processor.h"

#include <algorithm>

namespace awq {

std::vector<TokenId> PostProcessor::Apply(std::vector<TokenId> ids, bool special) const {
  for (const auto& items : templates_) {
    const auto texts = std::count(items.begin(), items.end(), std::nullopt);
    if (texts == 1 && !special) continue;
    std::vector<TokenId> out;
    out.reserve(static_cast<size_t>(texts) * ids.size() + items.size());
    for (const TemplateItem& item : items) {
      if (!item) {
        out.insert(out.end(), ids.begin(), ids.end());
      } else if (special) {
        out.push_back(*item);
      }
    }
    ids = std::move(out);
  }
  return ids;
}

}  // namespace awq
