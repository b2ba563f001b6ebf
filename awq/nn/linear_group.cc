#include "awq/nn/linear_group.h"

#include "awq/nn/merge.h"

namespace awq {

LinearGroup::LinearGroup(Backend& backend, int64_t layer, const LayerParams& params,
                         const std::vector<Role>& roles, bool gated)
    : roles_(roles), layer_(layer) {
  LinearMembers members;
  for (Role role : roles) {
    members.push_back(&params.linears.at(role));
    begins_.push_back(begins_.back() + NumOutputs(*members.back()));
  }
  if (members.empty()) return;
  if (members.size() == 1) {
    linears_.push_back(MakeLinear(backend, *members[0]));
    return;
  }
  if (AreAlike(members)) {
    const LinearWeight merged = MergeAlike(members);
    std::optional<Linear> pair;
    if (gated) pair = MakeGatedLinear(backend, merged);
    gated_ = pair.has_value();
    linears_.push_back(pair ? std::move(*pair) : MakeLinear(backend, merged));
  } else {
    for (const LinearWeight* m : members) linears_.push_back(MakeLinear(backend, *m));
  }
}

void LinearGroup::Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  if (ctx.tap != nullptr) ctx.tap->OnInput(roles_.front(), layer_, x);
  if (linears_.size() == 1) {
    linears_[0].Forward(ctx, x, y);
  } else {
    for (size_t i = 0; i < linears_.size(); ++i) linears_[i].Forward(ctx, x, Part(y, i));
  }
}

void LinearGroup::ForwardGated(ExecContext& ctx, Activation kind, const TensorView& x,
                               const TensorView& y) const {
  if (ctx.tap != nullptr) ctx.tap->OnInput(roles_.front(), layer_, x);
  linears_[0].ForwardGated(ctx, kind, x, y);
}

int64_t LinearGroup::NumBytes() const {
  int64_t bytes = 0;
  for (const Linear& l : linears_) bytes += l.NumBytes();
  return bytes;
}

}  // namespace awq
