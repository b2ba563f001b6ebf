// Model: pieces of text → token ids.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "awq/text/vocabulary.h"

namespace awq {

// Immutable after loading and safe to use from several threads.
class Model {
 public:
  virtual ~Model() = default;

  // Appends the ids of a piece, which is not empty. Throws kCorrupt where the vocabulary has no
  // token for something and no unknown token either.
  virtual void Encode(std::string_view piece, std::vector<TokenId>& out) const = 0;
  // Hands on parts of a piece, left to right, that can be encoded each by itself with the same
  // result. Short parts repeat, and what repeats is encoded once.
  virtual void Cut(std::string_view piece,
                   const std::function<void(std::string_view)>& part) const {
    part(piece);
  }

  virtual const Vocabulary& vocabulary() const = 0;
};

// The ids of "<0x00>" … "<0xFF>", -1 where there is none.
std::vector<TokenId> FindByteTokens(const Vocabulary& vocabulary);

}  // namespace awq
