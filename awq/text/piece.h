// Piece: a part of a text on its way from characters to tokens.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace awq {

struct Piece {
  std::string_view text;  // valid UTF-8
  // Bytes at the front that come from the very first character of the input: what Metaspace's
  // prepend scheme "first" asks for, since a step before it may have cut or inserted something.
  size_t head = 0;

  Piece Part(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), begin < head ? head - begin : 0};
  }
};

// Receives pieces from left to right; a piece lives as long as the call.
using PieceSink = std::function<void(const Piece&)>;

}  // namespace awq
