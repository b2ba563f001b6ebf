// KvCache: pages of keys and values, handed out to sequences.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "awq/nn/kv_pages.h"

namespace awq {

// Which page belongs to which sequence; knows no memory. Every page is free or in one sequence's
// table.
class PagePool {
 public:
  // page_size: tokens of a page.
  PagePool(int64_t pages, int64_t page_size);

  int64_t pages() const { return static_cast<int64_t>(owner_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  int64_t PagesFor(int64_t tokens) const { return (tokens + page_size_ - 1) / page_size_; }

  // A new sequence without tokens.
  int64_t Open();
  // Gives its pages back.
  void Close(int64_t sequence);
  // Makes room for `tokens` tokens in all. Throws kOutOfMemory with the page counts, and then
  // changes nothing.
  void Reserve(int64_t sequence, int64_t tokens);
  // Keeps the first `tokens` tokens' pages.
  void Shrink(int64_t sequence, int64_t tokens);
  // Page of token p of the sequence: Table()[p / page_size].
  std::span<const int32_t> Table(int64_t sequence) const;

  // Throws kInternal unless each page is owned exactly once.
  void CheckIntegrity() const;

 private:
  static constexpr int64_t kFree = -1;
  std::vector<int32_t>& TableOf(int64_t sequence);

  int64_t page_size_;
  int64_t next_ = 0;
  std::vector<int32_t> free_;   // a stack: the page given back last is the one still in a cache
  std::vector<int64_t> owner_;  // of each page: a sequence, or kFree
  std::map<int64_t, std::vector<int32_t>> tables_;
};

// The pool with its memory on the backend. Not thread-safe.
class KvCache {
 public:
  // Room for `tokens` tokens in all layers, in whole pages.
  KvCache(Backend& backend, const ModelSpec& model, int64_t tokens, DType type)
      : pool_(PagesFor(tokens), kKvPageSize),
        pages_(backend, model, 0, model.num_layers(), pool_.pages(), type) {}

  PagePool& pool() { return pool_; }
  const PagePool& pool() const { return pool_; }
  std::span<const PagedKv> layers() const { return pages_.layers(); }
  int64_t capacity() const { return pool_.pages() * kKvPageSize; }

 private:
  PagePool pool_;
  KvPages pages_;
};

}  // namespace awq
