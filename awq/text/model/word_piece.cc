#include "awq/text/model/word_piece.h"

#include "awq/base/error.h"

namespace awq {

WordPiece::WordPiece(WordPieceOptions options, Vocabulary vocabulary)
    : options_(std::move(options)),
      vocabulary_(std::move(vocabulary)),
      unk_(vocabulary_.Find(options_.unk_token)) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(vocabulary_.size());
  vocabulary_.Each([&](std::string_view piece, TokenId id) { keys.emplace_back(piece, id); });
  trie_ = ByteTrie(std::move(keys));
  continuing_ = trie_.Walk(ByteTrie::kRoot, options_.continuing_subword_prefix);
}

void WordPiece::Encode(std::string_view piece, std::vector<TokenId>& out) const {
  const size_t from = out.size();
  const auto is_lead = [](char c) { return (c & 0xc0) != 0x80; };
  size_t characters = 0;
  for (char c : piece) characters += is_lead(c);
  size_t begin = 0;
  while (begin < piece.size() && characters <= options_.max_input_chars_per_word) {
    int32_t node = begin == 0 ? ByteTrie::kRoot : continuing_;
    TokenId id = -1;
    size_t end = begin;
    for (size_t at = begin; at < piece.size() && node != ByteTrie::kNone;) {
      node = trie_.Child(node, piece[at++]);
      if (node == ByteTrie::kNone || trie_.Value(node) < 0) continue;
      id = trie_.Value(node);
      end = at;
    }
    if (id < 0) break;
    out.push_back(id);
    begin = end;
  }
  if (begin == piece.size()) return;
  out.resize(from);
  AWQ_CHECK(unk_ >= 0, kCorrupt, "unk_token \"", options_.unk_token,
            "\" is not in the vocabulary, and \"", piece.substr(0, 100), "\" has no tokens");
  out.push_back(unk_);
}

}  // namespace awq
