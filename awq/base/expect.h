// Symbolic shape contracts at an op's entry; they bind letters, check, and document:
//   Dims d("linear");
//   d.Expect("x", x, {"M", "K"}, {DType::kF32, DType::kBF16});
//   d.Expect("y", y, {"M", "N"});          // throws unless M is the same in both
//   const int64_t m = d["M"];
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/tensor.h"

namespace awq {

class Dims {
 public:
  explicit Dims(std::string_view where) : where_(where) {}

  // Binds every letter on first use and compares it afterwards; a number stands for itself.
  // An empty list of types accepts all. Throws kInternal naming place, tensor, expected, found.
  void Expect(std::string_view tensor, const TensorView& view,
              std::initializer_list<std::string_view> letters,
              std::initializer_list<DType> types = {});
  int64_t operator[](std::string_view letter) const;

 private:
  std::string where_;
  std::map<std::string, int64_t, std::less<>> bound_;
};

}  // namespace awq
