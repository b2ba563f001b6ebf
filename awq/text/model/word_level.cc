#include "awq/text/model/word_level.h"

#include "awq/base/error.h"

namespace awq {

WordLevel::WordLevel(std::string unk_token, Vocabulary vocabulary)
    : unk_token_(std::move(unk_token)), vocabulary_(std::move(vocabulary)) {}

void WordLevel::Encode(std::string_view piece, std::vector<TokenId>& out) const {
  TokenId id = vocabulary_.Find(piece);
  if (id < 0) id = vocabulary_.Find(unk_token_);
  AWQ_CHECK(id >= 0, kCorrupt, "unk_token \"", unk_token_, "\" is not in the vocabulary, and \"",
            piece.substr(0, 100), "\" has no token");
  out.push_back(id);
}

}  // namespace awq
