// AddedTokens: tokens that are found in the text itself, before anything else is done to it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "awq/text/byte_trie.h"
#include "awq/text/normalizer.h"
#include "awq/text/vocabulary.h"

namespace awq {

struct AddedToken {
  std::string content;
  TokenId id = -1;           // -1: that of the vocabulary, or the next behind it
  bool single_word = false;  // only between characters that are no word characters
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
  bool normalized = true;    // looked for in the normalized text
  bool special = false;

  bool operator==(const AddedToken&) const = default;
};

// A part of a text: an added token (id ≥ 0), or text between two (id -1).
struct TextPart {
  std::string_view text;
  TokenId id = -1;
};

class AddedTokens {
 public:
  AddedTokens() = default;
  // Tokens in the order of the file.
  AddedTokens(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary,
              const NormalizerList& normalizers);

  // Appends the parts of a text in order; empty text is left out.
  void SplitRaw(std::string_view text, std::vector<TextPart>& out) const {
    raw_.Split(text, *this, out);
  }
  void SplitNormalized(std::string_view text, std::vector<TextPart>& out) const {
    normalized_.Split(text, *this, out);
  }

  const AddedToken* Find(TokenId id) const;
  TokenId Find(std::string_view content) const;  // -1 when there is none
  bool IsSpecial(std::string_view content) const { return special_.contains(std::string(content)); }
  TokenId end() const { return end_; }  // one more than the largest id

 private:
  // Finds the leftmost, of those the longest.
  struct Matcher {
    ByteTrie trie;
    std::vector<bool> first;  // by byte: some token begins with it
    void Build(std::vector<std::pair<std::string_view, int32_t>> keys);
    void Split(std::string_view text, const AddedTokens& tokens, std::vector<TextPart>& out) const;
  };

  std::unordered_map<TokenId, AddedToken> by_id_;
  std::unordered_map<std::string, TokenId> ids_;
  std::unordered_set<std::string> special_;
  Matcher raw_, normalized_;
  TokenId end_ = 0;
};

}  // namespace awq
