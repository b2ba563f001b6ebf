// ByteTrie: all keys that a text begins with, in one walk.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace awq {

// Nodes are numbered in breadth-first order, so that the children of one lie side by side.
class ByteTrie {
 public:
  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  ByteTrie() : ByteTrie(std::vector<std::pair<std::string_view, int32_t>>()) {}
  // Keys with values that are not negative. Of equal keys the last wins; empty ones are left out.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> keys);

  int32_t Child(int32_t node, char byte) const {
    const Node& n = nodes_[static_cast<size_t>(node)];
    if (n.children == 0) return kNone;
    const char* labels = labels_.data() + n.first;
    if (n.children == 1) return *labels == byte ? n.first : kNone;
    const void* found = std::memchr(labels, byte, n.children);
    if (found == nullptr) return kNone;
    return static_cast<int32_t>(static_cast<const char*>(found) - labels_.data());
  }
  int32_t Walk(int32_t node, std::string_view bytes) const {
    for (size_t i = 0; i < bytes.size() && node != kNone; ++i) node = Child(node, bytes[i]);
    return node;
  }
  // Of the key that ends here, or kNone.
  int32_t Value(int32_t node) const { return nodes_[static_cast<size_t>(node)].value; }

 private:
  struct Node {
    int32_t value = kNone;
    int32_t first = 0;  // child
    uint32_t children = 0;
  };
  std::vector<Node> nodes_;
  std::vector<char> labels_;  // by node: the byte that leads to it
};

}  // namespace awq
