#include "awq/nn/merge.h"

#include <algorithm>
#include <cstring>

namespace awq {
namespace {

// Rows of all, one below the other.
Tensor StackRows(const std::vector<TensorView>& parts) {
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

// The same of every part of the members' weights.
LinearWeight MergeWeights(const LinearMembers& members) {
  const auto stack = [&](auto&& tensor) {
    std::vector<TensorView> parts;
    for (const LinearWeight* m : members) parts.push_back(tensor(*m).view());
    return StackRows(parts);
  };
  LinearWeight out;
  if (std::holds_alternative<Tensor>(members[0]->weight)) {
    out.weight =
        stack([](const LinearWeight& m) -> const Tensor& { return std::get<Tensor>(m.weight); });
    return out;
  }
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
  return out;
}

Tensor MergeBiases(const LinearMembers& members) {
  if (std::none_of(members.begin(), members.end(), [](auto* m) { return !m->bias.empty(); })) {
    return {};
  }
  int64_t outputs = 0;
  for (const LinearWeight* m : members) outputs += NumOutputs(*m);
  Tensor out = MakeTensor(DType::kF32, {outputs});
  int64_t at = 0;
  for (const LinearWeight* m : members) {
    for (int64_t i = 0; !m->bias.empty() && i < m->bias.shape()[0]; ++i) {
      out.As<float>()[at + i] = LoadFloat(m->bias.view(), i);
    }
    at += NumOutputs(*m);
  }
  return out;
}

Tensor TakeRows(const TensorView& from, std::span<const int64_t> rows) {
  Shape shape = from.shape;
  shape[0] = static_cast<int64_t>(rows.size());
  Tensor out = MakeTensor(from.dtype, shape);
  const int64_t bytes = from.NumBytes() / from.dim(0);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(out.As<char>() + static_cast<int64_t>(i) * bytes,
                from.As<const char>() + rows[i] * bytes, static_cast<size_t>(bytes));
  }
  return out;
}

}  // namespace

int64_t NumOutputs(const LinearWeight& weight) {
  if (const auto* dense = std::get_if<Tensor>(&weight.weight)) return dense->shape()[0];
  return std::get<QuantizedWeight>(weight.weight).n();
}

bool AreAlike(const LinearMembers& members) {
  const LinearWeight& a = *members[0];
  return std::all_of(members.begin(), members.end(), [&](const LinearWeight* b) {
    if (a.weight.index() != b->weight.index()) return false;
    if (const auto* dense = std::get_if<Tensor>(&a.weight)) {
      return dense->dtype() == std::get<Tensor>(b->weight).dtype();
    }
    const auto& x = std::get<QuantizedWeight>(a.weight);
    const auto& y = std::get<QuantizedWeight>(b->weight);
    return x.scheme == y.scheme && x.scales.dtype() == y.scales.dtype();
  });
}

LinearWeight MergeAlike(const LinearMembers& members) {
  LinearWeight out = MergeWeights(members);
  out.bias = MergeBiases(members);
  return out;
}

LinearWeight TakeRows(const LinearWeight& from, std::span<const int64_t> rows) {
  LinearWeight out;
  if (!from.bias.empty()) out.bias = TakeRows(from.bias.view(), rows);
  if (const auto* dense = std::get_if<Tensor>(&from.weight)) {
    out.weight = TakeRows(dense->view(), rows);
    return out;
  }
  const auto& q = std::get<QuantizedWeight>(from.weight);
  QuantizedWeight w{q.scheme, TakeRows(q.codes.view(), rows), TakeRows(q.scales.view(), rows), {}};
  if (!q.zeros.empty()) w.zeros = TakeRows(q.zeros.view(), rows);
  out.weight = std::move(w);
  return out;
}

}  // namespace awq
