#include "awq/text/added_tokens.h"

#include <algorithm>

#include "awq/text/unicode.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

bool EndsWithWord(std::string_view text) {
  return !text.empty() && IsWord(DecodeUtf8(LastCharacter(text)).code);
}

bool BeginsWithWord(std::string_view text) {
  return !text.empty() && IsWord(DecodeUtf8(text).code);
}

size_t WithoutSpaceBefore(std::string_view text, size_t at) {
  while (at > 0) {
    const std::string_view last = LastCharacter(text.substr(0, at));
    if (!IsSpace(DecodeUtf8(last).code)) break;
    at -= last.size();
  }
  return at;
}

size_t WithoutSpaceAfter(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Char c = DecodeUtf8(text.substr(at));
    if (!IsSpace(c.code)) break;
    at += c.length;
  }
  return at;
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary,
                         const NormalizerList& normalizers) {
  std::vector<const AddedToken*> special;  // go first where two are spelled alike
  std::vector<const AddedToken*> plain;
  const auto size = static_cast<TokenId>(vocabulary.size());
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    if (token.special && special_.insert(token.content).second) special.push_back(&token);
    TokenId id = token.id >= 0 ? token.id : Find(token.content);
    if (id < 0) id = vocabulary.Find(token.content);
    if (id < 0) {
      id = size;
      if (!ids_.empty() && end_ > size) id = end_;
    } else if (const AddedToken* same = Find(id); same && *same == token) {
      continue;
    }
    ids_[token.content] = id;
    by_id_[id] = token;
    end_ = std::max(end_, id + 1);
    if (!special_.contains(token.content)) plain.push_back(&token);
  }
  special.insert(special.end(), plain.begin(), plain.end());
  std::vector<std::pair<std::string_view, int32_t>> raw, normalized;
  std::vector<std::string> spelled;  // does not grow: keys point into it
  spelled.reserve(special.size());
  for (const AddedToken* token : special) {
    const TokenId id = Find(token->content);
    if (!token->normalized) {
      raw.emplace_back(token->content, id);
    } else {
      spelled.push_back(Normalize(normalizers, token->content, 0).text);
      normalized.emplace_back(spelled.back(), id);
    }
  }
  raw_.Build(std::move(raw));
  normalized_.Build(std::move(normalized));
}

const AddedToken* AddedTokens::Find(TokenId id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &it->second;
}

TokenId AddedTokens::Find(std::string_view content) const {
  const auto it = ids_.find(std::string(content));
  return it == ids_.end() ? -1 : it->second;
}

void AddedTokens::Matcher::Build(std::vector<std::pair<std::string_view, int32_t>> keys) {
  std::erase_if(keys, [](const auto& key) { return key.first.empty(); });
  if (keys.empty()) return;
  first.assign(256, false);
  for (const auto& key : keys) first[static_cast<unsigned char>(key.first[0])] = true;
  std::reverse(keys.begin(), keys.end());  // of equal ones the first counts
  trie = ByteTrie(std::move(keys));
}

void AddedTokens::Matcher::Split(std::string_view text, const AddedTokens& tokens,
                                 std::vector<TextPart>& out) const {
  size_t taken = 0;  // everything before is in `out`
  for (size_t at = 0; at < text.size() && !first.empty();) {
    if (!first[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    TokenId id = -1;
    size_t end = at;
    int32_t node = ByteTrie::kRoot;
    for (size_t i = at; i < text.size();) {
      node = trie.Child(node, text[i++]);
      if (node == ByteTrie::kNone) break;
      if (trie.Value(node) < 0) continue;
      id = trie.Value(node);
      end = i;
    }
    if (id < 0) {
      ++at;
      continue;
    }
    size_t begin = std::exchange(at, end);
    const AddedToken& token = *tokens.Find(id);
    if (token.single_word &&
        (EndsWithWord(text.substr(0, begin)) || BeginsWithWord(text.substr(end)))) {
      continue;
    }
    // A token that lies in the white space another has taken counts as well.
    if (token.lstrip) begin = std::max(WithoutSpaceBefore(text, begin), taken);
    if (token.rstrip) end = WithoutSpaceAfter(text, end);
    if (begin > taken) out.push_back({text.substr(taken, begin - taken), -1});
    out.push_back({text.substr(begin, end > begin ? end - begin : 0), id});
    taken = end;
  }
  if (taken < text.size()) out.push_back({text.substr(taken), -1});
}

}  // namespace awq
