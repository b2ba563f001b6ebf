// Operations of calibration.
#include "awq/ops/cases/table.h"

namespace awq::cases {
void AddCalibration(Table& table) {
  for (DType type : {table.act(), DType::kF32}) {
    for (const auto& [t, k] :
         {std::pair<int64_t, int64_t>{1, 16}, {40, 75}, {7, 264}, {300, 100}}) {
      const std::string sizes = Cat(t, "x", k, "_", NameOf(type));
      table.Add(
          "gram/" + sizes, 1e-10,
          [=, t = t, k = k](Fixture& f) {
            const TensorView x = f.Strided(type, t, k, 8);
            const Tensor zero = MakeTensor(DType::kF32, {k, k});
            const TensorView gram = f.Upload(zero);
            return Setup{[=, &f] {
                           f.backend().Gram(x, gram);
                           f.backend().Gram(x.Rows(0, 1), gram);
                         },
                         {gram}};
          },
          true);
      table.Add(
          "crossgram/" + sizes, 1e-10,
          [=, t = t, k = k](Fixture& f) {
            const TensorView x = f.Strided(type, t, k, 8);
            const TensorView y = f.Strided(type, t, k / 2 + 1, 3);
            const TensorView gram = f.Floats(DType::kF32, {k, k / 2 + 1});
            return Setup{[=, &f] { f.backend().CrossGram(x, y, gram); }, {gram}};
          },
          true);
      table.Add(
          "abssum/" + sizes, 1e-10,
          [=, t = t, k = k](Fixture& f) {
            const TensorView x = f.Strided(type, t, k, 8);
            const TensorView sums = f.Floats(DType::kF32, {k});
            return Setup{[=, &f] { f.backend().AbsSum(x, sums); }, {sums}};
          },
          true);
    }
  }
  for (const int64_t k : {1, 50, 128, 300}) {
    // x·(l·lᵀ)⁻¹ through the factor of a well-conditioned matrix, and each half alone.
    for (const int halves : {1, 2, 3}) {
      table.Add(
          Cat("solve/", k, "_", halves), 1e-10,
          [=](Fixture& f) {
            const TensorView x = f.Floats(DType::kF32, {2 * k, k});
            const TensorView l = f.Strided(DType::kF32, k, k, 4);
            const TensorView b = f.Strided(DType::kF32, 37, k, 5);
            return Setup{[=, &f] {
                           Backend& backend = f.backend();
                           const Tensor gram = backend.Alloc(DType::kF32, {k, k});
                           backend.Copy(gram.view(), MakeTensor(DType::kF32, {k, k}).view());
                           backend.Gram(x, gram.view());
                           for (int64_t i = 0; i < k; ++i)
                             backend.Copy(l.Rows(i, i + 1), gram.view().Rows(i, i + 1));
                           AWQ_CHECK(backend.Cholesky(l) == -1, kInternal, "cholesky failed");
                           if (halves & 1) backend.SolveTriangular(l, true, b);
                           if (halves & 2) backend.SolveTriangular(l, false, b);
                         },
                         {b}};
          },
          true);
    }
  }
  for (bool transpose : {false, true}) {
    for (const LinearCase& c : {LinearCase{1, 1, 1}, LinearCase{5, 33, 70}, LinearCase{64, 64, 64},
                                LinearCase{300, 40, 129}, LinearCase{13, 257, 300}}) {
      table.Add(
          Cat("matmul/", Sizes(c), transpose ? "_transposed" : ""), 1e-10,
          [=](Fixture& f) {
            const TensorView a = f.Strided(DType::kF32, c.m, c.k, 3);
            const TensorView b = transpose ? f.Strided(DType::kF32, c.n, c.k, 5)
                                           : f.Strided(DType::kF32, c.k, c.n, 5);
            const TensorView out = f.Strided(DType::kF32, c.m, c.n, 7);
            return Setup{[=, &f] { f.backend().MatMul(a, b, transpose, out); }, {out}};
          },
          true);
    }
  }
}

}  // namespace awq::cases
