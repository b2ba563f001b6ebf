// What the conformance cases are made with: inputs, device tensors, and the table they go into.
#pragma once

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "awq/ops/conformance.h"

namespace awq::cases {

// Inputs that are the same on every platform: splitmix64, and the sum of four uniforms as a bell
// curve.
class Random {
 public:
  explicit Random(std::string_view seed) {
    for (char c : seed) state_ = (state_ ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  }
  uint64_t Bits() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t n) { return static_cast<int64_t>(Bits() % static_cast<uint64_t>(n)); }
  float Uniform() { return static_cast<float>(Bits() >> 40) * 0x1p-24f; }
  float Normal() { return (Uniform() + Uniform() + Uniform() + Uniform() - 2.0f) * 1.7320508f; }
  void Fill(const Tensor& t, float scale = 1.0f, float shift = 0.0f) {
    for (int64_t i = 0; i < t.view().NumElements(); ++i) {
      StoreFloat(t.view(), i, shift + scale * Normal());
    }
  }

 private:
  uint64_t state_ = 0xcbf29ce484222325u;
};

// The device tensors of one case.
class Fixture {
 public:
  Fixture(Backend& backend, const std::string& name) : backend_(backend), random_(name) {}

  Backend& backend() { return backend_; }
  Random& random() { return random_; }

  TensorView Upload(const Tensor& host) {
    tensors_.push_back(backend_.Alloc(host.dtype(), host.shape()));
    backend_.Copy(tensors_.back().view(), host.view());
    return tensors_.back().view();
  }
  TensorView Floats(DType type, const Shape& shape, float scale = 1.0f, float shift = 0.0f) {
    const Tensor host = MakeTensor(type, shape);
    random_.Fill(host, scale, shift);
    return Upload(host);
  }
  // [rows, columns] inside rows that are `gap` elements longer.
  TensorView Strided(DType type, int64_t rows, int64_t columns, int64_t gap) {
    return Floats(type, {rows, columns + gap}).Columns(0, columns);
  }
  TensorView Ints(const std::vector<int32_t>& values, const Shape& shape) {
    const Tensor host = MakeTensor(DType::kI32, shape);
    std::copy(values.begin(), values.end(), host.As<int32_t>());
    return Upload(host);
  }
  // On the host, where the device reaches them.
  TensorView HostInts(const std::vector<int32_t>& values, const Shape& shape) {
    tensors_.push_back(backend_.AllocHost(DType::kI32, shape));
    std::copy(values.begin(), values.end(), tensors_.back().As<int32_t>());
    return tensors_.back().view();
  }
  std::span<const int32_t> Keep(std::vector<int32_t> values) {
    ints_.push_back(std::move(values));
    return ints_.back();
  }
  PackedWeight& Keep(std::unique_ptr<PackedWeight> weight) {
    weights_.push_back(std::move(weight));
    return *weights_.back();
  }
  PackedStack& Keep(std::unique_ptr<PackedStack> stack) {
    stacks_.push_back(std::move(stack));
    return *stacks_.back();
  }
  QuantizedWeight RandomWeight(const QuantScheme& scheme, int64_t n, int64_t k, DType scale_type) {
    QuantizedWeight w = MakeQuantizedWeight(scheme, n, k, scale_type);
    const int64_t groups = scheme.Groups(k);
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t i = 0; i < k; ++i) {
        SetCode(w, r, i, static_cast<int>(random_.Below(scheme.MaxCode() + 1)));
      }
      for (int64_t g = 0; g < groups; ++g) {
        StoreFloat(w.scales.view(), r * groups + g, 0.005f + 0.02f * random_.Uniform());
        if (scheme.symmetric) continue;
        w.zeros.As<uint8_t>()[r * groups + g] =
            static_cast<uint8_t>(random_.Below(scheme.MaxCode() + 1));
      }
    }
    return w;
  }
  // The tensor that holds view's memory, as floats.
  std::vector<float> Download(const TensorView& view) {
    backend_.Sync();
    for (const Tensor& t : tensors_) {
      if (t.view().data != view.data) continue;
      const Tensor host = MakeTensor(t.dtype(), t.shape());
      backend_.Copy(host.view(), t.view());
      backend_.Sync();
      std::vector<float> out(static_cast<size_t>(host.view().NumElements()));
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = t.dtype() == DType::kI32 ? static_cast<float>(host.As<const int32_t>()[i])
                                          : LoadFloat(host.view(), static_cast<int64_t>(i));
      }
      return out;
    }
    Fail(ErrorCode::kInternal, "conformance: a view of no tensor");
  }

 private:
  Backend& backend_;
  Random random_;
  std::vector<Tensor> tensors_;
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::vector<std::unique_ptr<PackedStack>> stacks_;
  std::deque<std::vector<int32_t>> ints_;
};

// What sets a case up: uploads, and returns the call and the tensor it writes.
struct Setup {
  std::function<void()> call;
  std::vector<TensorView> written;
};
using Builder = std::function<Setup(Fixture&)>;

// The same for a call on rows [begin, end) of `rows`.
struct RowSetup {
  std::function<void(int64_t begin, int64_t end)> call;
  int64_t rows;
  TensorView written;
};
using RowBuilder = std::function<RowSetup(Fixture&)>;

class Table {
 public:
  explicit Table(DType act) : act_(act) {}
  DType act() const { return act_; }
  // `exact` is the tolerance with F32 activations; 16-bit ones add the rounding of weights and of
  // the output: squares of 2^-8 and 2^-11, with room.
  void Add(std::string name, double exact, Builder build, bool f32_only = false) {
    double tolerance = exact;
    if (!f32_only && act_ == DType::kBF16) tolerance = std::max(exact, 2e-5);
    if (!f32_only && act_ == DType::kF16) tolerance = std::max(exact, 1e-6);
    auto make = [name, build = std::move(build)](Backend& backend) {
      auto fixture = std::make_shared<Fixture>(backend, name);
      Setup setup = build(*fixture);
      auto result = [fixture, written = setup.written] {
        std::vector<std::vector<float>> out;
        for (const TensorView& view : written) out.push_back(fixture->Download(view));
        return out;
      };
      return OpRun{[fixture, call = std::move(setup.call)] { call(); }, std::move(result)};
    };
    cases_.push_back({std::move(name), tolerance, std::move(make)});
  }
  void AddRows(std::string name, RowBuilder build) {
    auto make = [name, build = std::move(build)](Backend& backend) {
      auto fixture = std::make_shared<Fixture>(backend, name);
      RowSetup setup = build(*fixture);
      auto result = [fixture, view = setup.written] { return fixture->Download(view); };
      return RowRun{
          [fixture, call = std::move(setup.call)](int64_t begin, int64_t end) { call(begin, end); },
          setup.rows, std::move(result)};
    };
    row_cases_.push_back({std::move(name), std::move(make)});
  }
  std::vector<RowCase> TakeRows() { return std::move(row_cases_); }
  std::vector<OpCase> Take() { return std::move(cases_); }

 private:
  DType act_;
  std::vector<OpCase> cases_;
  std::vector<RowCase> row_cases_;
};

inline constexpr double kExact = 1e-11;     // f32 in, f32 sums, f32 out
inline constexpr double kRounded = 1e-8;    // 16-bit fixed-point or split activations
inline constexpr double kF16Scales = 1e-7;  // F32 scales that a device keeps in 16 bits

// Gate and up as one product where a backend has it, else as the two calls that it replaces.
struct GatedWeight {
  const PackedWeight* packed;
  bool gated;
};
// Of activation(gate) · up: products of 16 bits are rounded before they are multiplied, or not.
inline double GatedTolerance(DType act) {
  return act == DType::kF16 ? 4e-6 : act == DType::kBF16 ? 8e-5 : 10 * kRounded;
}
GatedWeight PrepareGatedOrPlain(Fixture& f, const QuantizedWeight& weight);
std::unique_ptr<PackedWeight> PrepareGatedOrPlain(Backend& backend, const QuantizedWeight& weight,
                                                  bool& gated);
void ActivateHalves(Backend& backend, Activation kind, const TensorView& both, const TensorView& y);
// both: room for gate and up side by side.
void CallGated(Backend& backend, const GatedWeight& w, Activation kind, const TensorView& x,
               const TensorView& bias, const TensorView& both, const TensorView& y);

// The same of experts, of which expert e has weight(e).
struct GatedStack {
  const PackedStack* packed;
  bool gated;
};
GatedStack MakeGatedStack(Fixture& f, int64_t count,
                          const std::function<QuantizedWeight(int64_t)>& weight);
void CallGated(Backend& backend, const GatedStack& w, Activation kind, const Routing& routing,
               const TensorView& x, const TensorView& both, const TensorView& y);
// MoeMlp, or the calls that it replaces.
void CallMlp(Backend& backend, const GatedStack& w, Activation kind, const PackedStack& down,
             const Routing& routing, const TensorView& x, const TensorView& both,
             const TensorView& hidden, const TensorView& y);

struct LinearCase {
  int64_t m, n, k;
  bool bias = false;
  bool f32_out = false;
  int64_t gap = 0;  // extra elements in the rows of x and y
};
// "m3_n64_k96_bias", for names.
inline std::string Sizes(const LinearCase& c) {
  return Cat("m", c.m, "_n", c.n, "_k", c.k, c.bias ? "_bias" : "", c.f32_out ? "_f32out" : "",
             c.gap ? "_strided" : "");
}

void AddLinears(Table& table);
void AddNorms(Table& table);
void AddFusedRows(Table& table);
void AddAdvance(Table& table);
void AddElementwise(Table& table);
void AddRope(Table& table);
void AddTables(Table& table);
void AddRopeKvWrites(Table& table);
void AddAttentions(Table& table);
void AddMlaAttentions(Table& table);
void AddLatents(Table& table);
void AddDecoders(Table& table);
void AddExperts(Table& table);
void AddCalibration(Table& table);
void AddSamples(Table& table);
void AddRowCases(Table& table);

}  // namespace awq::cases
