#include "awq/nn/kv_pages.h"

namespace awq {

KvPages::KvPages(Backend& backend, const ModelSpec& model, int64_t first, int64_t count,
                 int64_t pages, DType type)
    : pages_(pages) {
  const auto add = [&](int64_t heads, int64_t size) {
    memory_.push_back(backend.Alloc(type, {pages, heads, kKvPageSize, size}));
    return memory_.back().view();
  };
  for (int64_t i = first; i < first + count; ++i) {
    const auto& attention = model.layers[static_cast<size_t>(i)].attention;
    if (const auto* mla = std::get_if<MlaSpec>(&attention)) {
      views_.push_back({add(1, mla->latent_size()), {}});
    } else {
      const auto& gqa = std::get<GqaSpec>(attention);
      const TensorView keys = add(gqa.kv_heads, gqa.head_size);
      views_.push_back({keys, add(gqa.kv_heads, gqa.head_size)});
    }
  }
}

}  // namespace awq
