#include "awq/nn/expert_group.h"

#include <algorithm>
#include <span>

#include "awq/nn/linear.h"
#include "awq/nn/merge.h"

namespace awq {
namespace {

// Each expert's members as one. gated: by Backend::PrepareGated, if it makes all of them, which is
// said there afterwards.
std::vector<std::unique_ptr<PackedWeight>> PrepareMerged(Backend& backend,
                                                         const std::vector<LinearMembers>& experts,
                                                         bool& gated) {
  std::vector<std::unique_ptr<PackedWeight>> out;
  for (const LinearMembers& members : experts) {
    const LinearWeight merged = MergeAlike(members);
    auto pair = gated ? PrepareGated(backend, merged) : nullptr;
    if (gated && pair == nullptr) {
      gated = false;
      if (!out.empty()) return PrepareMerged(backend, experts, gated);
    }
    out.push_back(gated ? std::move(pair) : Prepare(backend, merged));
  }
  return out;
}

}  // namespace

ExpertGroup::ExpertGroup(Backend& backend, int64_t layer, const LayerParams& params,
                         int64_t experts, const std::vector<Role>& roles, bool gated)
    : roles_(roles), layer_(layer) {
  std::vector<LinearMembers> members(static_cast<size_t>(experts));
  for (int64_t e = 0; e < experts; ++e) {
    for (Role role : roles) {
      members[static_cast<size_t>(e)].push_back(&params.linears.at({role, e}));
    }
  }
  for (const LinearWeight* m : members[0]) begins_.push_back(begins_.back() + NumOutputs(*m));
  if (roles.size() > 1 &&
      std::ranges::all_of(members, [](const LinearMembers& m) { return AreAlike(m); })) {
    gated_ = gated;
    stacks_.push_back(backend.Stack(PrepareMerged(backend, members, gated_)));
    return;
  }
  for (size_t i = 0; i < roles.size(); ++i) {
    std::vector<std::unique_ptr<PackedWeight>> stack;
    for (const LinearMembers& m : members) stack.push_back(Prepare(backend, *m[i]));
    stacks_.push_back(backend.Stack(std::move(stack)));
  }
}

void ExpertGroup::Forward(ExecContext& ctx, const Routing& routing, const TensorView& x,
                          const TensorView& y) const {
  if (ctx.tap != nullptr) ShowInputs(ctx, routing, x);
  if (stacks_.size() == 1) {
    ctx.backend.MoeLinear(*stacks_[0], routing, x, y);
  } else {
    for (size_t i = 0; i < stacks_.size(); ++i) {
      ctx.backend.MoeLinear(*stacks_[i], routing, x, Part(y, i));
    }
  }
}

void ExpertGroup::ForwardGated(ExecContext& ctx, Activation kind, const Routing& routing,
                               const TensorView& x, const TensorView& y) const {
  if (ctx.tap != nullptr) ShowInputs(ctx, routing, x);
  ctx.backend.GatedMoeLinear(*stacks_[0], kind, routing, x, y);
}

void ExpertGroup::ShowInputs(ExecContext& ctx, const Routing& routing, const TensorView& x) const {
  const HostRouting host = ToHost(ctx.backend, routing);
  const auto total = static_cast<int64_t>(host.pairs.size());
  for (size_t e = 0; e + 1 < host.starts.size(); ++e) {
    const auto begin = static_cast<size_t>(host.starts[e]);
    const auto end = static_cast<size_t>(host.starts[e + 1]);
    if (begin == end) continue;
    const Tensor rows =
        GatherPairs(ctx.backend, x, std::span(host.pairs).subspan(begin, end - begin), total);
    ctx.tap->OnInput({roles_.front(), static_cast<int64_t>(e)}, layer_, rows.view());
  }
}

HostRouting ToHost(Backend& backend, const Routing& routing) {
  HostRouting out;
  const auto copy = [&](const TensorView& from, std::vector<int32_t>& to) {
    to.resize(static_cast<size_t>(from.NumElements()));
    backend.Copy(TensorView(to.data(), DType::kI32, from.shape), from);
  };
  copy(routing.pairs, out.pairs);
  copy(routing.starts, out.starts);
  backend.Sync();
  return out;
}

Tensor GatherPairs(Backend& backend, const TensorView& x, std::span<const int32_t> pairs,
                   int64_t total) {
  const auto per_row = static_cast<int32_t>(total / x.dim(0));
  std::vector<int32_t> rows;
  for (int32_t pair : pairs) rows.push_back(pair / per_row);
  const Shape count{static_cast<int64_t>(rows.size())};
  const Tensor on_device = backend.Alloc(DType::kI32, count);
  backend.Copy(on_device.view(), TensorView(rows.data(), DType::kI32, count));
  Tensor out = backend.Alloc(DType::kF32, {count[0], x.dim(1)});
  backend.GatherRows(x, on_device.view(), out.view());
  return out;
}

}  // namespace awq
