#include "awq/nn/kv_pages.h"

namespace awq {

KvPages::KvPages(Backend& backend, const ModelSpec& model, int64_t first, int64_t count,
                 int64_t pages, DType type)
    : pages_(pages) {
  for (int64_t i = first; i < first + count; ++i) {
    const GqaSpec& a = model.layers[static_cast<size_t>(i)].attention;
    const Shape shape{pages, a.kv_heads, kKvPageSize, a.head_size};
    memory_.push_back(backend.Alloc(type, shape));
    memory_.push_back(backend.Alloc(type, shape));
    views_.push_back({memory_[memory_.size() - 2].view(), memory_.back().view()});
  }
}

}  // namespace awq
