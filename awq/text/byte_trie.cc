#include "awq/text/byte_trie.h"

#include <algorithm>

namespace awq {

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  struct Range {
    size_t begin, end, depth;  // keys that share what leads to the node
  };
  std::vector<Range> ranges = {{0, keys.size(), 0}};  // by node
  nodes_.emplace_back();
  labels_.push_back(0);
  for (size_t node = 0; node < nodes_.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    for (; begin < end && keys[begin].first.size() == depth; ++begin) {
      if (depth > 0) nodes_[node].value = keys[begin].second;
    }
    nodes_[node].first = static_cast<int32_t>(nodes_.size());
    while (begin < end) {
      const char label = keys[begin].first[depth];
      size_t same = begin + 1;
      while (same < end && keys[same].first[depth] == label) ++same;
      nodes_.emplace_back();
      labels_.push_back(label);
      ranges.push_back({begin, same, depth + 1});
      ++nodes_[node].children;
      begin = same;
    }
  }
}

}  // namespace awq
