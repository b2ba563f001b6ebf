#include "awq/runtime/kv_cache.h"

#include <algorithm>

#include "awq/base/error.h"

namespace awq {

PagePool::PagePool(int64_t pages, int64_t page_size)
    : page_size_(page_size), owner_(static_cast<size_t>(pages), kFree) {
  AWQ_CHECK(pages > 0 && pages <= INT32_MAX && page_size > 0, kInvalidArgument, "a KV cache of ",
            pages, " pages of ", page_size, " tokens");
  for (int64_t page = pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

int64_t PagePool::Open() {
  tables_.emplace(next_, std::vector<int32_t>());
  return next_++;
}

std::vector<int32_t>& PagePool::TableOf(int64_t sequence) {
  const auto it = tables_.find(sequence);
  AWQ_CHECK(it != tables_.end(), kInternal, "KV cache: sequence ", sequence, " is not open");
  return it->second;
}

std::span<const int32_t> PagePool::Table(int64_t sequence) const {
  return const_cast<PagePool*>(this)->TableOf(sequence);
}

void PagePool::Close(int64_t sequence) {
  Shrink(sequence, 0);
  tables_.erase(sequence);
}

void PagePool::Reserve(int64_t sequence, int64_t tokens) {
  std::vector<int32_t>& table = TableOf(sequence);
  const int64_t more = PagesFor(tokens) - static_cast<int64_t>(table.size());
  AWQ_CHECK(more <= free_pages(), kOutOfMemory, "KV cache: ", tokens, " tokens need ", more,
            " more pages of ", page_size_, " tokens, ", free_pages(), " of ", pages(), " are free");
  for (int64_t i = 0; i < more; ++i) {
    const int32_t page = free_.back();
    free_.pop_back();
    owner_[static_cast<size_t>(page)] = sequence;
    table.push_back(page);
  }
}

void PagePool::Shrink(int64_t sequence, int64_t tokens) {
  std::vector<int32_t>& table = TableOf(sequence);
  const auto keep = static_cast<size_t>(PagesFor(tokens));
  while (table.size() > keep) {
    owner_[static_cast<size_t>(table.back())] = kFree;
    free_.push_back(table.back());
    table.pop_back();
  }
}

void PagePool::CheckIntegrity() const {
  std::vector<int> uses(owner_.size(), 0);
  const auto use = [&](int32_t page, int64_t owner) {
    AWQ_CHECK(page >= 0 && page < pages(), kInternal, "KV cache: page ", page, " of ", pages());
    const auto i = static_cast<size_t>(page);
    ++uses[i];
    AWQ_CHECK(owner_[i] == owner, kInternal, "KV cache: page ", page, " is listed by ", owner,
              " and owned by ", owner_[i]);
  };
  for (int32_t page : free_) use(page, kFree);
  for (const auto& [sequence, table] : tables_) {
    for (int32_t page : table) use(page, sequence);
  }
  for (size_t i = 0; i < uses.size(); ++i) {
    AWQ_CHECK(uses[i] == 1, kInternal, "KV cache: page ", i, " is listed ", uses[i], " times");
  }
}

}  // namespace awq
