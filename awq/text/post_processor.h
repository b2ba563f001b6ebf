// PostProcessor: the special tokens around a text.
#pragma once

#include <optional>
#include <vector>

#include "awq/text/vocabulary.h"

namespace awq {

// An id, or the place of the text.
using TemplateItem = std::optional<TokenId>;

class PostProcessor {
 public:
  // Templates apply one after another, each to what the one before has made.
  void Add(std::vector<TemplateItem> items) { templates_.push_back(std::move(items)); }

  // `special` false: as if the templates held nothing but texts.
  std::vector<TokenId> Apply(std::vector<TokenId> ids, bool special) const;

 private:
  std::vector<std::vector<TemplateItem>> templates_;
};

}  // namespace awq
