// Pre-tokenizers: how a text is cut into pieces that tokens never cross.
#pragma once

#include <memory>
#include <vector>

#include "awq/text/piece.h"

namespace awq {

// One step; immutable.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Hands on the pieces of one piece, which is not empty; none of them is.
  virtual void Split(const Piece& piece, const PieceSink& out) const = 0;
};

using PreTokenizerList = std::vector<std::unique_ptr<const PreTokenizer>>;

// All steps, one after another.
void PreTokenize(const PreTokenizerList& steps, const Piece& piece, const PieceSink& out);

}  // namespace awq
