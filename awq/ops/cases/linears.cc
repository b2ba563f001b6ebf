// Linears, dense and quantized.
#include "awq/ops/cases/table.h"

namespace awq::cases {
namespace {

Setup SetUpLinear(Fixture& f, DType act, const LinearCase& c, PackedWeight& w) {
  const TensorView x = f.Strided(act, c.m, c.k, c.gap);
  const TensorView y = f.Strided(c.f32_out ? DType::kF32 : act, c.m, c.n, c.gap);
  const TensorView bias = c.bias ? f.Floats(DType::kF32, {c.n}) : TensorView();
  return {[&f, &w, x, y, bias] { f.backend().Linear(w, x, bias, y); }, {y}};
}

void AddDense(Table& table, DType type, const LinearCase& c) {
  const DType act = table.act();
  table.Add(Cat("linear_dense/", NameOf(type), "_", Sizes(c)), kExact, [=](Fixture& f) {
    const Tensor w = MakeTensor(type, {c.n, c.k});
    f.random().Fill(w, 0.05f);
    return SetUpLinear(f, act, c, f.Keep(f.backend().PrepareDense(w.view(), type)));
  });
}

void AddQuantized(Table& table, const QuantScheme& scheme, const LinearCase& c,
                  DType scale_type = DType::kF16) {
  const DType act = table.act();
  const std::string name = Cat("linear_q", scheme.bits, "/", Sizes(c), "_g",
                               scheme.group < 0 ? "row" : std::to_string(scheme.group),
                               scheme.symmetric ? "_sym" : "_asym", "_", NameOf(scale_type));
  const double exact = scale_type == DType::kF32 ? kF16Scales : kRounded;
  table.Add(name, exact, [=](Fixture& f) {
    const QuantizedWeight w = f.RandomWeight(scheme, c.n, c.k, scale_type);
    return SetUpLinear(f, act, c, f.Keep(f.backend().PrepareQuantized(w)));
  });
}

// Where a backend has no such product, the two calls that it replaces.
void AddGated(Table& table, const QuantScheme& scheme, const LinearCase& c, Activation kind) {
  const DType act = table.act();
  const std::string name = Cat("gated_linear/", Sizes(c), "_g", scheme.group,
                               scheme.symmetric ? "_sym_" : "_asym_", static_cast<int>(kind));
  table.Add(name, GatedTolerance(act), [=](Fixture& f) {
    const QuantizedWeight weight = f.RandomWeight(scheme, c.n, c.k, DType::kF16);
    const TensorView x = f.Strided(act, c.m, c.k, c.gap);
    const TensorView y = f.Strided(act, c.m, c.n / 2, c.gap);
    const TensorView bias = c.bias ? f.Floats(DType::kF32, {c.n}) : TensorView();
    const GatedWeight w = PrepareGatedOrPlain(f, weight);
    const TensorView both = f.Strided(act, c.m, c.n, 0);
    return Setup{[=, &f] { CallGated(f.backend(), w, kind, x, bias, both, y); }, {y}};
  });
}

}  // namespace

GatedWeight PrepareGatedOrPlain(Fixture& f, const QuantizedWeight& weight) {
  bool gated = false;
  const PackedWeight& packed = f.Keep(PrepareGatedOrPlain(f.backend(), weight, gated));
  return {&packed, gated};
}

std::unique_ptr<PackedWeight> PrepareGatedOrPlain(Backend& backend, const QuantizedWeight& weight,
                                                  bool& gated) {
  auto pair = backend.PrepareGated(weight);
  gated = pair != nullptr;
  return gated ? std::move(pair) : backend.PrepareQuantized(weight);
}

void ActivateHalves(Backend& backend, Activation kind, const TensorView& both,
                    const TensorView& y) {
  const int64_t n = both.dim(1);
  backend.Activate(kind, both.Columns(0, n / 2), both.Columns(n / 2, n), y);
}

void CallGated(Backend& backend, const GatedWeight& w, Activation kind, const TensorView& x,
               const TensorView& bias, const TensorView& both, const TensorView& y) {
  if (w.gated) return backend.GatedLinear(*w.packed, kind, x, bias, y);
  backend.Linear(*w.packed, x, bias, both);
  ActivateHalves(backend, kind, both, y);
}

void AddLinears(Table& table) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (int64_t m : {1, 2, 3, 5, 8, 9, 13, 16, 31, 300}) AddDense(table, type, {m, 96, 136});
    AddDense(table, type, {.m = 1, .n = 257, .k = 768, .bias = true});
    AddDense(table, type, {.m = 17, .n = 131, .k = 264, .bias = true, .f32_out = true, .gap = 8});
    AddDense(table, type, {.m = 4, .n = 5, .k = 8, .gap = 8});
    for (int64_t m : {1, 2, 3, 4}) AddDense(table, type, {.m = m, .n = 1100, .k = 520, .gap = 8});
    AddDense(table, type, {.m = 6, .n = 130, .k = 2312, .bias = true, .f32_out = true});
    AddDense(table, type, {.m = 64, .n = 33, .k = 1048});
    AddDense(table, type, {.m = 3, .n = 33, .k = 1024});
    AddDense(table, type, {.m = 300, .n = 64, .k = 520, .f32_out = true});
  }
  AddDense(table, DType::kF32, {.m = 7, .n = 3, .k = 31});
  AddDense(table, DType::kF32, {.m = 800, .n = 33, .k = 40});
  const QuantScheme g128{.bits = 4, .group = 128};
  for (int64_t m = 1; m <= 20; ++m) AddQuantized(table, g128, {m, 80, 256});
  for (int64_t m : {31, 64, 300}) AddQuantized(table, g128, {m, 96, 384});
  for (int64_t group : {32, 64, 128, -1}) {
    for (bool symmetric : {false, true}) {
      const QuantScheme s{.bits = 4, .group = group, .symmetric = symmetric};
      for (int64_t m : {1, 6, 40}) {
        AddQuantized(table, s, {m, 48, 256});
        AddQuantized(table, s, {.m = m, .n = 131, .k = 328, .bias = true}, DType::kBF16);
        AddQuantized(table, s, {.m = m, .n = 17, .k = 72, .f32_out = true, .gap = 8}, DType::kF32);
      }
    }
  }
  for (int64_t group : {32, 128, -1}) {
    for (bool symmetric : {false, true}) {
      const QuantScheme s{.bits = 8, .group = group, .symmetric = symmetric};
      for (int64_t m : {1, 3, 40})
        AddQuantized(table, s, {.m = m, .n = 75, .k = 264, .bias = true});
    }
  }
  for (int64_t group : {64, 128, -1}) {
    for (int64_t m : {1, 8, 11, 32, 70}) {
      const QuantScheme s{.bits = 8, .group = group, .symmetric = m % 2 == 0};
      AddQuantized(table, s, {.m = m, .n = 75, .k = 1168, .bias = true, .gap = 8});
      AddQuantized(table, s, {.m = m, .n = 32, .k = 512, .f32_out = true}, DType::kF32);
    }
  }
  for (int64_t m : {1, 5, 16, 40, 70, 300}) {
    for (Activation kind : {Activation::kSilu, Activation::kGeluTanh}) {
      AddGated(table, g128,
               {.m = m, .n = m % 4 == 0 ? 552 : 554, .k = 384, .bias = m == 5 || m == 70, .gap = 8},
               kind);
      // Inputs enough to be cut into parts.
      AddGated(table, g128, {.m = m, .n = 208, .k = 1536, .bias = m == 40}, kind);
    }
    AddGated(table, {.bits = 4, .group = 32, .symmetric = true}, {.m = m, .n = 96, .k = 72},
             Activation::kGelu);
  }
  AddQuantized(table, g128, {.m = 800, .n = 40, .k = 128});
  for (int64_t m : {20, 60, 130}) {
    AddQuantized(table, g128, {.m = m, .n = 208, .k = 2048, .bias = true});
    AddQuantized(table, g128, {.m = m, .n = 331, .k = 1160, .f32_out = true}, DType::kF32);
  }
  for (int64_t group : {64, 128, -1}) {
    const QuantScheme s{.bits = 8, .group = group, .symmetric = group == 128};
    AddQuantized(table, s, {.m = 300, .n = 170, .k = 264, .bias = true, .gap = 8});
    AddQuantized(table, s, {.m = 257, .n = 80, .k = 1160, .f32_out = true}, DType::kF32);
  }
  // Where tiles of more rows are faster than three times as many of few.
  AddQuantized(table, {.bits = 8, .group = 128, .symmetric = true},
               {.m = 1100, .n = 600, .k = 136});
  for (int64_t m : {4, 17, 40, 70, 130}) {  // and of many rows
    const QuantScheme s{.bits = 8, .group = m == 40 ? 64 : 128, .symmetric = m != 70};
    AddQuantized(table, s, {.m = m, .n = 1300, .k = 264, .bias = true, .gap = 8});
    AddQuantized(table, s, {.m = m, .n = 333, .k = 520, .f32_out = true}, DType::kF32);
  }
  for (int64_t m : {1, 2}) {  // many outputs of one or two rows have kernels of their own
    const LinearCase many{.m = m, .n = 9700, .k = 264, .bias = true, .gap = 8};
    AddQuantized(table, {.bits = 4, .group = 32}, many);
    AddQuantized(table, {.bits = 4, .group = 128, .symmetric = true}, many);
    AddGated(table, g128, many, Activation::kSilu);
    for (int64_t group : {64, -1}) {
      AddQuantized(table, {.bits = 8, .group = group, .symmetric = m == 1}, many);
    }
  }
}

}  // namespace awq::cases
