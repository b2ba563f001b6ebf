#include "awq/text/jinja/block_names.h"

#include <algorithm>

namespace awq::jinja {

bool BlockNames::Knows(std::string_view name) const {
  return std::any_of(layers_.begin(), layers_.end(),
                     [&](const Layer& l) { return l.known.contains(name); });
}

bool BlockNames::IsSet(std::string_view name) const {
  return std::any_of(layers_.begin(), layers_.end(),
                     [&](const Layer& l) { return l.set.contains(name); });
}

// The innermost block that knows the name; null when none does.
const BlockNames* BlockNames::Owner(std::string_view name) const {
  const BlockNames* b = this;
  while (b != nullptr && !b->Knows(name)) b = b->outer_;
  return b;
}

Place BlockNames::PlaceIn(const BlockNames& owner, std::string_view name) const {
  return {function_.depth() - owner.function_.depth(), owner.function_.Index(owner.level_, name)};
}

int BlockNames::Declare(std::string_view name) {
  layers_.back().set.emplace(name);
  layers_.back().known[std::string(name)] = kParameter;
  return function_.Index(level_, name);
}

void BlockNames::Read(std::string_view name) {
  if (Owner(name) == nullptr) layers_.back().known.emplace(name, kContext);
}

void BlockNames::Set(std::string_view name) {
  layers_.back().set.emplace(name);
  const BlockNames* owner = Owner(name);
  if (owner != this) layers_.back().known.emplace(name, owner != nullptr ? kOuter : kUndefined);
}

void BlockNames::EndBranch() {
  ended_.push_back(std::move(layers_.back()));
  layers_.pop_back();
}

// What only branches set may not be set when the block goes on: it begins as what is around it.
void BlockNames::Merge(size_t branches) {
  const auto begin = ended_.end() - static_cast<std::ptrdiff_t>(branches);
  std::set<std::string, std::less<>> sometimes;
  for (auto b = begin; b != ended_.end(); ++b) {
    std::copy_if(b->set.begin(), b->set.end(), std::inserter(sometimes, sometimes.end()),
                 [&](const std::string& name) { return !IsSet(name); });
  }
  Layer& layer = layers_.back();
  for (auto b = begin; b != ended_.end(); ++b) {
    for (const auto& [name, origin] : b->known) layer.known.insert_or_assign(name, origin);
    layer.set.merge(b->set);
  }
  ended_.erase(begin, ended_.end());
  for (const std::string& name : sometimes) {
    const bool around = outer_ != nullptr && outer_->Owner(name) != nullptr;
    layer.known.insert_or_assign(name, around ? kOuter : kContext);
  }
}

bool BlockNames::Find(std::string_view name, Place& place) const {
  const BlockNames* owner = Owner(name);
  if (owner == nullptr) return false;
  place = PlaceIn(*owner, name);
  place.is_parameter = owner->layers_.front().known.find(name)->second == kParameter;
  return true;
}

Variables BlockNames::Collect() const {
  Variables out;
  for (const auto& [name, origin] : layers_.front().known) {
    const int index = function_.Index(level_, name);
    out.ends.push_back(index);
    if (origin == kParameter) continue;
    Variables::Beginning b;
    b.index = index;
    if (origin == kContext) {
      b.kind = Variables::Beginning::kContext;
      b.name = name;
    } else if (origin == kOuter) {
      b.kind = Variables::Beginning::kCopy;
      b.from = PlaceIn(*outer_->Owner(name), name);
    }
    out.beginnings.push_back(std::move(b));
  }
  return out;
}

}  // namespace awq::jinja
