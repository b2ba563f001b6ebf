#include "awq/runtime/kv_budget.h"

#include <algorithm>

#include "awq/base/error.h"
#include "awq/nn/kv_pages.h"

namespace awq {

int64_t KvBytesPerToken(const ModelSpec& model, DType type) {
  int64_t values = 0;
  for (const LayerSpec& layer : model.layers) {
    if (const auto* mla = std::get_if<MlaSpec>(&layer.attention)) {
      values += mla->latent_size();
    } else {
      const auto& gqa = std::get<GqaSpec>(layer.attention);
      values += 2 * gqa.kv_heads * gqa.head_size;
    }
  }
  return values * BitsOf(type) / 8;
}

int64_t KvTokens(const ModelSpec& model, DType type, const KvBudget& budget) {
  constexpr double kShareOfFree = 0.9;  // the rest is for activations
  AWQ_CHECK(budget.sequences > 0 && budget.memory >= 0, kInvalidArgument, "a KV cache of ",
            budget.memory, " bytes for ", budget.sequences, " sequences");
  const int64_t each = KvBytesPerToken(model, type);
  const int64_t page = each * kKvPageSize;
  const auto in_pages = [&](int64_t bytes) { return bytes / page * kKvPageSize; };
  const int64_t wanted = PagesFor(budget.context) * kKvPageSize * budget.sequences;
  if (budget.memory > 0) {
    AWQ_CHECK(budget.memory >= page, kInvalidArgument, "KV cache: a page of ", kKvPageSize,
              " tokens takes ", page, " bytes, the budget is ", budget.memory);
    AWQ_CHECK(budget.free == 0 || budget.memory <= budget.free, kOutOfMemory,
              "KV cache: the budget is ", budget.memory, " bytes, ", budget.free, " are free");
    return std::min(wanted, in_pages(budget.memory));
  }
  if (budget.free == 0) return wanted;
  const auto usable = static_cast<int64_t>(kShareOfFree * static_cast<double>(budget.free));
  AWQ_CHECK(usable >= page, kOutOfMemory, "KV cache: a page of ", kKvPageSize, " tokens takes ",
            page, " bytes, ", budget.free, " are free");
  return std::min(wanted, in_pages(usable));
}

}  // namespace awq
