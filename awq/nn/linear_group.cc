#include "awq/nn/linear_group.h"

#include <algorithm>
#include <cstring>

namespace awq {
namespace {

using Members = std::vector<const LinearWeight*>;

bool AreAlike(const LinearWeight& a, const LinearWeight& b) {
  if (a.weight.index() != b.weight.index()) return false;
  if (const auto* dense = std::get_if<Tensor>(&a.weight)) {
    return dense->dtype() == std::get<Tensor>(b.weight).dtype();
  }
  const auto& x = std::get<QuantizedWeight>(a.weight);
  const auto& y = std::get<QuantizedWeight>(b.weight);
  return x.scheme == y.scheme && x.scales.dtype() == y.scales.dtype();
}

// Rows of all, one below the other.
Tensor Stack(const std::vector<TensorView>& parts) {
  Shape shape = parts[0].shape;
  for (size_t i = 1; i < parts.size(); ++i) shape[0] += parts[i].dim(0);
  Tensor out = MakeTensor(parts[0].dtype, shape);
  char* to = out.As<char>();
  for (const TensorView& part : parts) {
    std::memcpy(to, part.data, static_cast<size_t>(part.NumBytes()));
    to += part.NumBytes();
  }
  return out;
}

LinearWeight Merge(const Members& members) {
  const auto stack = [&](auto&& tensor) {
    std::vector<TensorView> parts;
    for (const LinearWeight* m : members) parts.push_back(tensor(*m).view());
    return Stack(parts);
  };
  LinearWeight out;
  if (std::holds_alternative<Tensor>(members[0]->weight)) {
    out.weight =
        stack([](const LinearWeight& m) -> const Tensor& { return std::get<Tensor>(m.weight); });
  } else {
    const auto of = [](const LinearWeight& m) -> const QuantizedWeight& {
      return std::get<QuantizedWeight>(m.weight);
    };
    QuantizedWeight w;
    w.scheme = of(*members[0]).scheme;
    w.codes = stack([&](const LinearWeight& m) -> const Tensor& { return of(m).codes; });
    w.scales = stack([&](const LinearWeight& m) -> const Tensor& { return of(m).scales; });
    if (!w.scheme.symmetric) {
      w.zeros = stack([&](const LinearWeight& m) -> const Tensor& { return of(m).zeros; });
    }
    out.weight = std::move(w);
  }
  return out;
}

int64_t Outputs(const LinearWeight& w) {
  if (const auto* dense = std::get_if<Tensor>(&w.weight)) return dense->shape()[0];
  return std::get<QuantizedWeight>(w.weight).n();
}

// One vector of all biases, zeros for members without one; empty when none has one.
Tensor MergeBiases(const Members& members, int64_t outputs) {
  if (std::none_of(members.begin(), members.end(), [](auto* m) { return !m->bias.empty(); })) {
    return {};
  }
  Tensor out = MakeTensor(DType::kF32, {outputs});
  int64_t at = 0;
  for (const LinearWeight* m : members) {
    for (int64_t i = 0; !m->bias.empty() && i < m->bias.shape()[0]; ++i) {
      out.As<float>()[at + i] = LoadFloat(m->bias.view(), i);
    }
    at += Outputs(*m);
  }
  return out;
}

}  // namespace

LinearGroup::LinearGroup(Backend& backend, int64_t layer, const LayerParams& params,
                         const std::vector<Role>& roles)
    : roles_(roles), layer_(layer) {
  Members members;
  for (Role role : roles) {
    members.push_back(&params.linears.at(role));
    begins_.push_back(begins_.back() + Outputs(*members.back()));
  }
  if (members.empty()) return;
  if (members.size() == 1) {
    linears_.push_back(MakeLinear(backend, *members[0]));
    return;
  }
  const bool alike = std::all_of(members.begin(), members.end(),
                                 [&](auto* m) { return AreAlike(*members[0], *m); });
  if (alike) {
    LinearWeight merged = Merge(members);
    merged.bias = MergeBiases(members, n());
    linears_.push_back(MakeLinear(backend, merged));
  } else {
    for (const LinearWeight* m : members) linears_.push_back(MakeLinear(backend, *m));
  }
}

void LinearGroup::Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  if (ctx.tap != nullptr) {
    for (Role role : roles_) ctx.tap->OnInput(role, layer_, x);
  }
  if (linears_.size() == 1) {
    linears_[0].Forward(ctx, x, y);
  } else {
    for (size_t i = 0; i < linears_.size(); ++i) linears_[i].Forward(ctx, x, Part(y, i));
  }
}

int64_t LinearGroup::NumBytes() const {
  int64_t bytes = 0;
  for (const Linear& l : linears_) bytes += l.NumBytes();
  return bytes;
}

}  // namespace awq
