// KvPages: the page tensors of a paged key/value cache, without knowledge of who uses which page.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "awq/model/spec.h"
#include "awq/ops/args.h"
#include "awq/ops/backend.h"

namespace awq {

inline constexpr int64_t kKvPageSize = 16;  // tokens
// Pages that so many tokens of a sequence need.
constexpr int64_t PagesFor(int64_t tokens) { return (tokens + kKvPageSize - 1) / kKvPageSize; }

class KvPages {
 public:
  // Pages for layers [first, first + count) of the model.
  KvPages(Backend& backend, const ModelSpec& model, int64_t first, int64_t count, int64_t pages,
          DType type);
  std::span<const PagedKv> layers() const { return views_; }
  int64_t pages() const { return pages_; }

 private:
  int64_t pages_;
  std::vector<Tensor> memory_;
  std::vector<PagedKv> views_;
};

}  // namespace awq
