#include "awq/text/added_tokens.h"

#include <algorithm>

#include "awq/text/utf8.h"

namespace awq {
namespace {

bool Matches(const Regex& regex, std::string_view character) {
  bool found = false;
  regex.Each(character, [&](size_t, size_t) { found = true; });
  return found;
}

std::string_view FirstCharacter(std::string_view text) {
  return text.substr(0, DecodeUtf8(text).length);
}

std::string_view LastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return text.substr(begin);
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), by_byte_(256), word_(R"(\w)"), space_(R"(\s)") {
  std::erase_if(tokens_, [](const AddedToken& t) { return t.content.empty(); });
  const auto first = [](const AddedToken& t) { return static_cast<unsigned char>(t.content[0]); };
  std::stable_sort(tokens_.begin(), tokens_.end(), [&](const AddedToken& a, const AddedToken& b) {
    if (first(a) != first(b)) return first(a) < first(b);
    return a.content.size() > b.content.size();
  });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    auto& range = by_byte_[first(tokens_[i])];
    if (range.second == 0) range.first = i;
    range.second = i + 1;
  }
}

const AddedToken* AddedTokenMatcher::LongestAt(std::string_view text, size_t at) const {
  const auto [begin, end] = by_byte_[static_cast<unsigned char>(text[at])];
  const std::string_view rest = text.substr(at);
  for (size_t i = begin; i < end; ++i) {
    if (rest.starts_with(tokens_[i].content)) return &tokens_[i];
  }
  return nullptr;
}

bool AddedTokenMatcher::Extend(std::string_view text, size_t taken, Match& match) const {
  const AddedToken& token = *match.token;
  if (token.single_word) {
    const std::string_view before = text.substr(0, match.begin);
    const std::string_view after = text.substr(match.end);
    if (!before.empty() && Matches(word_, LastCharacter(before))) return false;
    if (!after.empty() && Matches(word_, FirstCharacter(after))) return false;
  }
  if (token.lstrip) {
    while (match.begin > taken) {
      const std::string_view last = LastCharacter(text.substr(0, match.begin));
      if (!Matches(space_, last)) break;
      match.begin = std::max(taken, match.begin - last.size());
    }
  }
  if (token.rstrip) {
    while (match.end < text.size()) {
      const std::string_view next = FirstCharacter(text.substr(match.end));
      if (!Matches(space_, next)) break;
      match.end += next.size();
    }
  }
  return true;
}

void AddedTokenMatcher::Split(std::string_view text, std::vector<TextPart>& out) const {
  size_t taken = 0;  // everything before is in `out`
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    const AddedToken* token = LongestAt(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    Match match{at, at + token->content.size(), token};
    at = match.end;
    if (!Extend(text, taken, match)) continue;
    if (match.begin > taken) out.push_back({text.substr(taken, match.begin - taken), -1});
    out.push_back({text.substr(match.begin, match.end - match.begin), token->id});
    taken = match.end;
    at = std::max(at, taken);
  }
  if (taken < text.size()) out.push_back({text.substr(taken), -1});
}

}  // namespace awq
