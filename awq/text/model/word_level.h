// WordLevel: every piece is one token.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "awq/text/model.h"

namespace awq {

class WordLevel : public Model {
 public:
  WordLevel(std::string unk_token, Vocabulary vocabulary);

  void Encode(std::string_view piece, std::vector<TokenId>& out) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  std::string unk_token_;
  Vocabulary vocabulary_;
};

}  // namespace awq
