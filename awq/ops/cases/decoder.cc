// Decoder layers for one token: as one call where a backend has it, else call by call.
#include "awq/ops/cases/inputs.h"

namespace awq::cases {
namespace {

struct DecoderCase {
  int64_t hidden, heads, kv_heads, d, ffn;
  int64_t cached;  // tokens before this one
  int64_t layers = 2;
  int64_t calls = 1;  // one after the other
  int64_t page_size = 16;
  int64_t window = 0;
  bool symmetric = false;
  bool e4m3 = false;    // the cache
  bool extras = false;  // biases, and norms of heads
  Activation activation = Activation::kSilu;
  // Routed, of ffn each, of which a token goes to `active`; 0: one for all.
  int64_t experts = 0;
  int64_t active = 1;
  RouteArgs route = {};
  DType router = DType::kBF16;
  // Norms of what layers add, and a window and other angles in every second layer.
  bool sandwich = false;
  bool window_first = false;  // these in the others, as Gemma has it
  float softcap = 0.0f;
  int64_t bases = 1;  // of angles, that layers have in turn; two with a sandwich
  // What no backend does as one call.
  bool separate = false;
};

// What the calls one by one need beside the weights.
struct Scratch {
  TensorView x, qkv, mixed, both, hidden;
  TensorView logits, outputs;  // of experts
};

class DecoderRun {
 public:
  DecoderRun(Fixture& f, DType act, const DecoderCase& c) : f_(f), c_(c) {
    const int64_t n = (c.heads + 2 * c.kv_heads) * c.d;
    for (int64_t l = 0; l < c.layers; ++l) {
      AttentionInputs in = MakeAttention(f, act,
                                         {.sequences = {{c.cached, 1}},
                                          .heads = c.heads,
                                          .kv_heads = c.kv_heads,
                                          .d = c.d,
                                          .page_size = c.page_size,
                                          .e4m3 = c.e4m3});
      caches_.push_back(in.cache);
      if (l == 0) batch_ = in.batch;
      DecoderWeights& w = layers_.emplace_back();
      w.qkv = &Weight(n, c.hidden);
      w.o = &Weight(c.hidden, c.heads * c.d);
      AddFfn(w);
      w.attn_norm = f.Floats(DType::kF32, {c.hidden}, 0.2f, 0.2f);
      w.ffn_norm = f.Floats(DType::kF32, {c.hidden}, 0.2f, 0.2f);
      const int64_t base = l % c.bases;
      w.window = c.sandwich && (base == 1) == c.window_first ? 0 : c.window;
      if (l < c.bases) frequencies_.push_back(Frequencies(base));
      w.rope = {.inverse_frequencies = frequencies_[static_cast<size_t>(base)],
                .magnitude = base == 1 ? 1.0f : 1.1f};
      if (c.sandwich) {
        w.attn_post_norm = f.Floats(DType::kF32, {c.hidden}, 0.2f, 0.5f);
        w.ffn_post_norm = f.Floats(DType::kF32, {c.hidden}, 0.2f, 0.5f);
      }
      if (!c.extras) continue;
      w.qkv_bias = f.Floats(DType::kF32, {n});
      w.o_bias = f.Floats(DType::kF32, {c.hidden});
      if (c.experts == 0) {
        w.gate_up_bias = f.Floats(DType::kF32, {2 * c.ffn});
        w.down_bias = f.Floats(DType::kF32, {c.hidden});
      }
      w.q_norm = f.Floats(DType::kF32, {c.d}, 0.3f, 1.0f);
      w.k_norm = f.Floats(DType::kF32, {c.d}, 0.3f, 1.0f);
    }
    args_ = {.heads = c.heads,
             .kv_heads = c.kv_heads,
             .head_size = c.d,
             .epsilon = 1e-5f,
             .scale = 1.0f / std::sqrt(static_cast<float>(c.d)),
             .softcap = c.softcap,
             .activation = c.activation,
             .route = c.route,
             .active = c.experts > 0 ? c.active : 0};
    residual_ = f.Floats(DType::kF32, {1, c.hidden});
    packed_ = f.backend().PrepareDecoder(args_, layers_);
    scratch_ = {.x = f.Floats(act, {1, c.hidden}),
                .qkv = f.Floats(act, {1, n}),
                .mixed = f.Floats(act, {1, c.heads, c.d}),
                .both = f.Floats(act, {c.active, 2 * c.ffn}),
                .hidden = f.Floats(act, {c.active, c.ffn}),
                .logits = f.Floats(DType::kF32, {1, std::max<int64_t>(1, c.experts)}),
                .outputs = f.Floats(act, {c.active, c.hidden})};
    if (c.experts > 0) routing_ = MakeRouting(f, 1, c.experts, c.active);
  }

  void Call() const {
    for (int64_t i = 0; i < c_.calls; ++i) {
      if (packed_ && f_.backend().Decode(*packed_, batch_, caches_, residual_)) continue;
      for (size_t l = 0; l < layers_.size(); ++l) CallLayer(layers_[l], caches_[l]);
    }
  }
  std::vector<TensorView> Written() const {
    std::vector<TensorView> out{residual_};
    for (const PagedKv& cache : caches_) {
      out.push_back(cache.keys);
      out.push_back(cache.values);
    }
    return out;
  }

 private:
  QuantScheme Scheme() const { return {.bits = 4, .group = 128, .symmetric = c_.symmetric}; }
  const PackedWeight& Weight(int64_t n, int64_t k) {
    return f_.Keep(f_.backend().PrepareQuantized(f_.RandomWeight(Scheme(), n, k, DType::kF16)));
  }
  void AddFfn(DecoderWeights& w) {
    const auto gate_up = [this] {
      return f_.RandomWeight(Scheme(), 2 * c_.ffn, c_.hidden, DType::kF16);
    };
    if (c_.experts == 0) {
      const GatedWeight gated = PrepareGatedOrPlain(f_, gate_up());
      w.gate_up = gated.packed;
      gated_ = gated.gated;
      w.down = &Weight(c_.hidden, c_.ffn);
      return;
    }
    const Tensor router = MakeTensor(c_.router, {c_.experts, c_.hidden});
    f_.random().Fill(router, 0.5f);
    const GatedStack gated = MakeGatedStack(f_, c_.experts, [&](int64_t) { return gate_up(); });
    gated_ = gated.gated;
    w.experts = DecoderExperts{
        .router = &f_.Keep(f_.backend().PrepareDense(router.view(), c_.router)),
        .router_bias = c_.route.sigmoid ? f_.Floats(DType::kF32, {c_.experts}, 0.3f) : TensorView(),
        .gate_up = gated.packed,
        .down = &MakeStack(f_, c_.experts, [&](Fixture& f, int64_t) {
          return f.backend().PrepareQuantized(
              f.RandomWeight(Scheme(), c_.hidden, c_.ffn, DType::kF16));
        })};
  }
  TensorView Frequencies(int64_t number) {
    const float base = 10000.0f / (1.0f + 19.0f * static_cast<float>(number));
    const Tensor host = MakeTensor(DType::kF32, {c_.d / 2});
    for (int64_t i = 0; i < c_.d / 2; ++i) {
      host.As<float>()[i] =
          std::pow(base, -2.0f * static_cast<float>(i) / static_cast<float>(c_.d));
    }
    return f_.Upload(host);
  }
  static TensorView Heads(const TensorView& qkv, int64_t first, int64_t count, int64_t d) {
    return qkv.Columns(first * d, (first + count) * d).Reshape({1, count, d});
  }

  void CallLayer(const DecoderWeights& w, const PagedKv& cache) const {
    Backend& backend = f_.backend();
    const NormArgs norm{.kind = NormKind::kRms, .epsilon = args_.epsilon};
    const Scratch& s = scratch_;
    backend.Norm(norm, residual_, w.attn_norm, {}, s.x);
    backend.Linear(*w.qkv, s.x, w.qkv_bias, s.qkv);
    const TensorView q = Heads(s.qkv, 0, c_.heads, c_.d);
    const TensorView k = Heads(s.qkv, c_.heads, c_.kv_heads, c_.d);
    const TensorView v = Heads(s.qkv, c_.heads + c_.kv_heads, c_.kv_heads, c_.d);
    const HeadNorms heads{.q = w.q_norm, .k = w.k_norm, .epsilon = args_.epsilon};
    backend.RopeKvWrite(heads, w.rope, batch_, q, k, v, cache);
    AttentionArgs attention;
    attention.scale = args_.scale;
    attention.window = w.window;
    attention.softcap = args_.softcap;
    backend.Attention(attention, batch_, q, cache, s.mixed);
    backend.Linear(*w.o, s.mixed.Reshape({1, c_.heads * c_.d}), w.o_bias, s.x);
    if (c_.sandwich) backend.Norm(norm, s.x, w.attn_post_norm, {}, s.x);
    backend.AddNorm(norm, residual_, s.x, w.ffn_norm, {}, s.x);
    if (w.experts) {
      CallExperts(*w.experts);
    } else {
      CallGated(backend, {w.gate_up, gated_}, args_.activation, s.x, w.gate_up_bias, s.both,
                s.hidden);
      backend.Linear(*w.down, s.hidden, w.down_bias, s.x);
    }
    if (c_.sandwich) backend.Norm(norm, s.x, w.ffn_post_norm, {}, s.x);
    backend.Add(residual_, s.x);
  }
  void CallExperts(const DecoderExperts& w) const {
    Backend& backend = f_.backend();
    const Scratch& s = scratch_;
    backend.Linear(*w.router, s.x, {}, s.logits);
    backend.Route(args_.route, s.logits, w.router_bias, routing_);
    CallGated(backend, GatedStack{w.gate_up, gated_}, args_.activation, routing_, s.x, s.both,
              s.hidden);
    backend.MoeLinear(*w.down, routing_, s.hidden, s.outputs);
    backend.MoeSum(routing_, s.outputs, {}, {}, s.x);
  }

  Fixture& f_;
  DecoderCase c_;
  std::vector<DecoderWeights> layers_;
  std::vector<PagedKv> caches_;
  Batch batch_;
  DecoderArgs args_;
  TensorView residual_;
  std::vector<TensorView> frequencies_;
  Scratch scratch_;
  Routing routing_;
  std::unique_ptr<PackedDecoder> packed_;
  bool gated_ = false;  // whether gate and up are one product
};

void AddDecoder(Table& table, const DecoderCase& c) {
  const DType act = table.act();
  const std::string name =
      Cat("decode/D", c.hidden, "_h", c.heads, "_g", c.kv_heads, "_d", c.d, "_F", c.ffn, "_",
          c.cached, "+1_l", c.layers, c.symmetric ? "_sym" : "_asym", c.extras ? "_extras" : "",
          c.window > 0 ? "_window" : "", c.window_first ? "1" : "", c.sandwich ? "_sandwich" : "",
          c.softcap > 0 ? "_softcap" : "", c.e4m3 ? "_e4m3" : "", c.calls > 1 ? "_again" : "", "_p",
          c.page_size, c.experts > 0 ? Cat("_e", c.active, "of", c.experts) : "",
          c.route.sigmoid ? "_sigmoid" : "", c.bases > 1 ? Cat("_b", c.bases) : "",
          c.separate ? "_separate" : "");
  // Call by call every vector is rounded to the type of activations, a dozen times a layer; the
  // residual stream, which gathers all that, is compared on its own.
  double rounded = act == DType::kF16 ? 4e-5 : act == DType::kBF16 ? 6e-4 : 10 * kRounded;
  if (c.e4m3) rounded = std::max(rounded, 1e-4);  // a key or value may be a step, an eighth, off
  table.Add(name, rounded, [=](Fixture& f) {
    const auto run = std::make_shared<DecoderRun>(f, act, c);
    return Setup{[run] { run->Call(); }, run->Written()};
  });
}

void AddMoeDecoders(Table& table) {
  const RouteArgs normalized{.normalize = true};
  AddDecoder(table, {.hidden = 256,
                     .heads = 4,
                     .kv_heads = 2,
                     .d = 64,
                     .ffn = 128,
                     .cached = 20,
                     .layers = 3,
                     .calls = 2,
                     .experts = 8,
                     .active = 2,
                     .route = normalized});
  // More experts than blocks, so that a block has several rows of the router.
  AddDecoder(table, {.hidden = 384,
                     .heads = 4,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 128,
                     .cached = 70,
                     .symmetric = true,
                     .extras = true,
                     .experts = 136,
                     .active = 5,
                     .route = {.scale = 2.5f},
                     .router = DType::kF32});
  // Qwen3-30B-A3B's, but for its numbers of layers and experts.
  AddDecoder(table, {.hidden = 2048,
                     .heads = 32,
                     .kv_heads = 4,
                     .d = 128,
                     .ffn = 768,
                     .cached = 300,
                     .layers = 1,
                     .extras = true,
                     .experts = 20,
                     .active = 8,
                     .route = normalized,
                     .router = DType::kF16});
  AddDecoder(table, {.hidden = 1024,
                     .heads = 8,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 640,
                     .cached = 300,
                     .layers = 1,
                     .window = 131,
                     .experts = 3,
                     .active = 2,
                     .route = normalized});
  AddDecoder(table, {.hidden = 384,
                     .heads = 3,
                     .kv_heads = 3,
                     .d = 128,
                     .ffn = 256,
                     .cached = 10,
                     .e4m3 = true,
                     .activation = Activation::kGeluTanh,
                     .experts = 5,
                     .active = 5});
  // Not one kernel anywhere.
  AddDecoder(table, {.hidden = 256,
                     .heads = 2,
                     .kv_heads = 1,
                     .d = 128,
                     .ffn = 128,
                     .cached = 10,
                     .layers = 1,
                     .experts = 6,
                     .active = 2,
                     .route = {.sigmoid = true, .normalize = true},
                     .separate = true});
}

void AddSandwiches(Table& table) {
  AddDecoder(table, {.hidden = 384,
                     .heads = 4,
                     .kv_heads = 2,
                     .d = 256,
                     .ffn = 640,
                     .cached = 300,
                     .layers = 3,
                     .calls = 2,
                     .window = 70,
                     .extras = true,
                     .activation = Activation::kGeluTanh,
                     .sandwich = true,
                     .softcap = 1.5f,
                     .bases = 2});
  // Two groups of a kv head.
  AddDecoder(table, {.hidden = 640,
                     .heads = 4,
                     .kv_heads = 1,
                     .d = 256,
                     .ffn = 384,
                     .cached = 90,
                     .layers = 2,
                     .page_size = 32,
                     .window = 33,
                     .symmetric = true,
                     .e4m3 = true,
                     .activation = Activation::kGeluTanh,
                     .sandwich = true,
                     .window_first = true,
                     .softcap = 1.5f,
                     .bases = 2});
  // One head a group, the window first, norms of heads and no cap, as in Gemma 3.
  AddDecoder(table, {.hidden = 640,
                     .heads = 2,
                     .kv_heads = 2,
                     .d = 256,
                     .ffn = 512,
                     .cached = 700,
                     .layers = 4,
                     .window = 131,
                     .extras = true,
                     .activation = Activation::kGeluTanh,
                     .sandwich = true,
                     .window_first = true,
                     .bases = 2});
  AddDecoder(table, {.hidden = 256,
                     .heads = 4,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 512,
                     .cached = 0,
                     .layers = 2,
                     .sandwich = true,
                     .bases = 2});
  // Each thread has inputs of two blocks.
  AddDecoder(table, {.hidden = 4224,
                     .heads = 4,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 256,
                     .cached = 90,
                     .layers = 2,
                     .window = 40,
                     .sandwich = true,
                     .bases = 2});
  // Gemma-2-9B's, but for its number of layers.
  AddDecoder(table, {.hidden = 3584,
                     .heads = 16,
                     .kv_heads = 8,
                     .d = 256,
                     .ffn = 1024,
                     .cached = 600,
                     .layers = 1,
                     .activation = Activation::kGeluTanh,
                     .sandwich = true,
                     .softcap = 1.5f});
}

// kv heads whose heads do not divide evenly.
void AddUneven(Table& table) {
  AddDecoder(table, {.hidden = 1024,  // four and three of seven
                     .heads = 14,
                     .kv_heads = 2,
                     .d = 64,
                     .ffn = 640,
                     .cached = 200,
                     .extras = true});
  AddDecoder(table, {.hidden = 1024,
                     .heads = 14,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 640,
                     .cached = 333,
                     .calls = 2,
                     .window = 131,
                     .extras = true});
  AddDecoder(table, {.hidden = 1024,  // two, two, two and one
                     .heads = 7,
                     .kv_heads = 1,
                     .d = 128,
                     .ffn = 640,
                     .cached = 90,
                     .e4m3 = true});
  AddDecoder(table, {.hidden = 4224,  // three and two of five
                     .heads = 10,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 512,
                     .cached = 200,
                     .layers = 1});
  AddDecoder(table, {.hidden = 1024,
                     .heads = 14,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 512,
                     .cached = 70,
                     .layers = 1,
                     .e4m3 = true});
}

// What kernels of all layers leave to calls one by one.
void AddSeparate(Table& table) {
  const DecoderCase plain{.hidden = 256,
                          .heads = 2,
                          .kv_heads = 1,
                          .d = 128,
                          .ffn = 128,
                          .cached = 40,
                          .separate = true};
  DecoderCase c = plain;
  c.softcap = 1.5f;
  AddDecoder(table, c);
  c = plain;
  c.bases = 2;
  AddDecoder(table, c);
  c = plain;
  c.layers = c.bases = 3;
  c.window = 20;
  c.sandwich = true;
  AddDecoder(table, c);
  c = plain;
  c.sandwich = true;
  c.heads = 3;
  AddDecoder(table, c);
  c = plain;
  c.cached = 4200;
  c.layers = 1;
  c.d = 256;
  c.sandwich = true;
  AddDecoder(table, c);
}

}  // namespace

void AddDecoders(Table& table) {
  AddDecoder(table, {.hidden = 256, .heads = 4, .kv_heads = 2, .d = 64, .ffn = 384, .cached = 0});
  AddDecoder(table, {.hidden = 384,
                     .heads = 6,
                     .kv_heads = 2,
                     .d = 64,
                     .ffn = 1024,
                     .cached = 37,
                     .layers = 3,
                     .calls = 2,
                     .symmetric = true});
  AddDecoder(table, {.hidden = 512,
                     .heads = 14,
                     .kv_heads = 2,
                     .d = 64,
                     .ffn = 640,
                     .cached = 300,
                     .page_size = 32,
                     .extras = true});
  AddDecoder(table, {.hidden = 640,
                     .heads = 5,
                     .kv_heads = 5,
                     .d = 128,
                     .ffn = 512,
                     .cached = 95,
                     .layers = 3,
                     .extras = true,
                     .activation = Activation::kGeluTanh});
  AddDecoder(table, {.hidden = 256,
                     .heads = 16,
                     .kv_heads = 2,
                     .d = 128,
                     .ffn = 256,
                     .cached = 1500,
                     .symmetric = true});
  for (const bool e4m3 : {false, true}) {  // 24 lanes have elements of a key, 16 a second pair
    AddDecoder(table, {.hidden = e4m3 ? 384 : 256,
                       .heads = 4,
                       .kv_heads = 4,
                       .d = 96,
                       .ffn = 384,
                       .cached = 333,
                       .calls = 2,
                       .window = e4m3 ? 0 : 131,
                       .e4m3 = e4m3,
                       .extras = true});
  }
  AddDecoder(
      table,
      {.hidden = 4224, .heads = 2, .kv_heads = 1, .d = 128, .ffn = 128, .cached = 15, .layers = 1});
  // On an H200 more blocks share a kv head's outputs and keys than there are parts of them.
  AddDecoder(table, {.hidden = 2048,
                     .heads = 18,
                     .kv_heads = 9,
                     .d = 64,
                     .ffn = 1024,
                     .cached = 40,
                     .layers = 1});
  // More row tiles of every linear than SMs, and not as many for each.
  AddDecoder(table,
             {.hidden = 2304, .heads = 18, .kv_heads = 3, .d = 128, .ffn = 1280, .cached = 130});
  for (const int64_t cached : {200, 2500}) {  // the window begins inside a page
    AddDecoder(table, {.hidden = 256,
                       .heads = 8,
                       .kv_heads = 2,
                       .d = 128,
                       .ffn = 256,
                       .cached = cached,
                       .window = 131});
    AddDecoder(table, {.hidden = 256,
                       .heads = 4,
                       .kv_heads = 2,
                       .d = cached > 1000 ? 64 : 128,
                       .ffn = 256,
                       .cached = cached,
                       .e4m3 = true});
  }
  AddMoeDecoders(table);
  AddUneven(table);
  AddSandwiches(table);
  AddSeparate(table);
}

}  // namespace awq::cases
