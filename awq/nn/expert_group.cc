#include "awq/nn/expert_group.h"

#include <algorithm>
#include <span>

#include "awq/nn/linear.h"
#include "awq/nn/merge.h"

namespace awq {

namespace {

// Of all experts as Backend::PrepareGated makes them, or none.
template <typename Members>
std::vector<std::unique_ptr<PackedWeight>> PrepareAllGated(Backend& backend, int64_t experts,
                                                           const Members& members) {
  std::vector<std::unique_ptr<PackedWeight>> out;
  for (int64_t e = 0; e < experts; ++e) {
    out.push_back(PrepareGated(backend, MergeAlike(members(e))));
    if (out.back() == nullptr) return {};
  }
  return out;
}

}  // namespace

ExpertGroup::ExpertGroup(Backend& backend, int64_t layer, const LayerParams& params,
                         int64_t experts, const std::vector<Role>& roles, bool gated)
    : roles_(roles), layer_(layer) {
  const auto members = [&](int64_t expert) {
    std::vector<const LinearWeight*> out;
    for (Role role : roles) out.push_back(&params.linears.at({role, expert}));
    return out;
  };
  for (const LinearWeight* m : members(0)) begins_.push_back(begins_.back() + NumOutputs(*m));
  bool alike = true;
  for (int64_t e = 0; e < experts; ++e) alike = alike && AreAlike(members(e));
  if (alike && gated) {
    auto weights = PrepareAllGated(backend, experts, members);
    gated_ = !weights.empty();
    if (gated_) {
      stacks_.push_back(backend.Stack(std::move(weights)));
      return;
    }
  }
  std::vector<std::vector<std::unique_ptr<PackedWeight>>> stacks(alike ? 1 : roles.size());
  for (int64_t e = 0; e < experts; ++e) {
    const auto parts = members(e);
    for (size_t i = 0; i < stacks.size(); ++i) {
      const bool merged = alike && parts.size() > 1;
      stacks[i].push_back(merged ? Prepare(backend, MergeAlike(parts))
                                 : Prepare(backend, *parts[i]));
    }
  }
  for (auto& stack : stacks) stacks_.push_back(backend.Stack(std::move(stack)));
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
