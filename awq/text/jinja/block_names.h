// BlockNames: the names that a block of a template reads or sets, and what each is at its
// beginning.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "awq/text/jinja/ast.h"

namespace awq::jinja {

// The places of a function. Blocks in a row share theirs: those of equal name and level are one.
class FunctionPlaces {
 public:
  explicit FunctionPlaces(int depth) : depth_(depth) {}
  int depth() const { return depth_; }
  int size() const { return static_cast<int>(places_.size()); }
  int Index(int level, std::string_view name) {
    return places_.try_emplace({level, std::string(name)}, size()).first->second;
  }

 private:
  int depth_;  // functions around it
  std::map<std::pair<int, std::string>, int> places_;
};

class BlockNames {
 public:
  // `outer`: complete; null for the template.
  BlockNames(const BlockNames* outer, FunctionPlaces& function)
      : outer_(outer), function_(function), level_(outer == nullptr ? 0 : outer->level_ + 1) {}

  // In the order in which the block does it.
  int Declare(std::string_view name);  // a parameter or a loop's variable; gives its place
  void Read(std::string_view name);
  void Set(std::string_view name);
  // What follows belongs to a branch of an `if`, until EndBranch; a branch may hold others.
  void BeginBranch() { layers_.emplace_back(); }
  void EndBranch();
  // All branches of the `if` since as many EndBranch() are over.
  void Merge(size_t branches);

  // When the block is complete. False when nothing knows the name.
  bool Find(std::string_view name, Place& place) const;
  Variables Collect() const;
  FunctionPlaces& function() const { return function_; }

 private:
  // What a variable is at the beginning of its block.
  enum Origin { kParameter, kContext, kOuter, kUndefined };
  struct Layer {
    std::map<std::string, Origin, std::less<>> known;
    std::set<std::string, std::less<>> set;
  };

  bool Knows(std::string_view name) const;
  bool IsSet(std::string_view name) const;
  const BlockNames* Owner(std::string_view name) const;
  Place PlaceIn(const BlockNames& owner, std::string_view name) const;

  const BlockNames* outer_;
  FunctionPlaces& function_;
  int level_;
  std::vector<Layer> layers_{1};  // the block's, then those of the branches that are open
  std::vector<Layer> ended_;      // branches not yet merged
};

}  // namespace awq::jinja
