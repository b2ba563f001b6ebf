// UserDefined: a model around another that keeps symbols of the user's apart, as SentencePiece's
// byte-pair encoding does.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "awq/text/byte_trie.h"
#include "awq/text/model.h"

namespace awq {

class UserDefined : public Model {
 public:
  // Symbols that are pieces of the model's vocabulary.
  UserDefined(std::unique_ptr<const Model> model, const std::vector<std::string>& symbols);

  void Encode(std::string_view piece, std::vector<TokenId>& out) const override;
  void Cut(std::string_view piece,
           const std::function<void(std::string_view)>& part) const override;
  const Vocabulary& vocabulary() const override { return model_->vocabulary(); }

 private:
  std::unique_ptr<const Model> model_;
  ByteTrie symbols_;
};

}  // namespace awq
