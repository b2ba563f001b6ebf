#include "awq/text/model/user_defined.h"

#include "awq/text/utf8.h"

namespace awq {

UserDefined::UserDefined(std::unique_ptr<const Model> model,
                         const std::vector<std::string>& symbols)
    : model_(std::move(model)) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (const std::string& symbol : symbols) {
    keys.emplace_back(symbol, model_->vocabulary().Find(symbol));
  }
  symbols_ = ByteTrie(std::move(keys));
}

void UserDefined::Encode(std::string_view piece, std::vector<TokenId>& out) const {
  const int32_t node = symbols_.Walk(ByteTrie::kRoot, piece);
  if (node != ByteTrie::kNone && symbols_.Value(node) >= 0) {
    out.push_back(symbols_.Value(node));
  } else {
    model_->Encode(piece, out);
  }
}

void UserDefined::Cut(std::string_view piece,
                      const std::function<void(std::string_view)>& part) const {
  size_t begin = 0;
  for (size_t at = 0; at < piece.size();) {
    size_t symbol = at;
    int32_t node = ByteTrie::kRoot;
    for (size_t i = at; i < piece.size();) {
      node = symbols_.Child(node, piece[i++]);
      if (node == ByteTrie::kNone) break;
      if (symbols_.Value(node) >= 0) symbol = i;
    }
    if (symbol == at) {
      at += DecodeUtf8(piece.substr(at)).length;
      continue;
    }
    if (at > begin) model_->Cut(piece.substr(begin, at - begin), part);
    part(piece.substr(at, symbol - at));
    begin = at = symbol;
  }
  if (begin < piece.size()) model_->Cut(piece.substr(begin), part);
}

}  // namespace awq
