// awq inspect: what a checkpoint is made of.
#include <memory>

#include "awq/api/inspect.h"
#include "awq/base/error.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

struct InspectFlags {
  std::string model;
  int64_t context = 0;
  bool tensors = false;
  bool json = false;
};

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += Cat(i > 0 ? ", " : "", shape[i]);
  return out + "]";
}

RawJson ToJson(const InspectFlags& flags, const InspectReport& r) {
  RawJson types = RawJson::object();
  for (const TypeShare& t : r.types) types[t.type] = {{"tensors", t.tensors}, {"bytes", t.bytes}};
  RawJson out = {{"model", flags.model},
                 {"architecture", r.architecture},
                 {"layers", r.layers},
                 {"hidden", r.hidden},
                 {"heads", r.heads},
                 {"kv_heads", r.kv_heads},
                 {"head_size", r.head_size},
                 {"latent", r.latent},
                 {"ffn", r.ffn},
                 {"moe_layers", r.moe_layers},
                 {"experts", r.experts},
                 {"active_experts", r.active_experts},
                 {"expert_ffn", r.expert_ffn},
                 {"window", r.window},
                 {"vocabulary", r.vocabulary},
                 {"tied_head", r.tied_head},
                 {"max_context", r.max_context},
                 {"parameters", r.parameters},
                 {"format", r.format},
                 {"bits", r.bits},
                 {"group_size", r.group},
                 {"zero_point", r.bits > 0 && !r.symmetric},
                 {"quantized_linears", r.quantized_linears},
                 {"skipped", r.skipped},
                 {"bits_per_weight", r.bits_per_weight},
                 {"linear_bits_per_weight", r.linear_bits_per_weight},
                 {"file_bytes", r.file_bytes},
                 {"types", types},
                 {"context", r.context},
                 {"weight_bytes", r.weight_bytes},
                 {"kv_bytes", r.kv_bytes}};
  if (flags.tensors) {
    out["tensors"] = RawJson::array();
    for (const TensorInfo& t : r.tensors) {
      out["tensors"].push_back({{"name", t.name},
                                {"type", t.type},
                                {"shape", t.shape},
                                {"bytes", t.bytes},
                                {"file", t.file}});
    }
  }
  return out;
}

std::string Scheme(const InspectReport& r) {
  if (r.bits == 0) return "dense";
  return Cat(r.format, ", ", r.bits, " bits, ",
             r.group < 0 ? "one group a row" : Cat("groups of ", r.group), ", ",
             r.symmetric ? "symmetric" : "with zero points");
}

std::string Text(const InspectFlags& flags, const InspectReport& r) {
  const auto millions = FormatNumber("%.1f M", static_cast<double>(r.parameters) / 1e6);
  std::string out =
      Cat(flags.model, "\n  architecture  ", r.architecture, ": ", r.layers, " layers, hidden ",
          r.hidden, ", ", r.heads, " heads of ", r.head_size, " (",
          r.latent > 0 ? Cat("latent of ", r.latent) : Cat(r.kv_heads, " kv"), ")",
          r.ffn > 0 ? Cat(", ffn ", r.ffn) : "",
          r.experts > 0 ? Cat(", ", r.active_experts, " of ", r.experts, " experts of ",
                              r.expert_ffn, " in ", r.moe_layers, " layers")
                        : "",
          ", vocabulary ", r.vocabulary, r.tied_head ? ", tied head" : "", "\n  context       ",
          r.max_context, " tokens", r.window > 0 ? Cat(", window ", r.window) : "",
          "\n  parameters    ", millions, "\n  weights       ", Scheme(r), "\n  bits a weight ",
          FormatNumber("%.2f", r.bits_per_weight), " over all, ",
          FormatNumber("%.2f", r.linear_bits_per_weight), " in the layers' linears\n");
  if (r.bits > 0) {
    out += Cat("  quantized     ", r.quantized_linears, " linears; in 16 bits:");
    for (const std::string& s : r.skipped) out += " " + s;
    out += r.skipped.empty() ? " none of them\n" : "\n";
  }
  out += Cat("  files         ", FormatBytes(r.file_bytes), " in ", r.tensors.size(), " tensors:");
  for (const TypeShare& t : r.types) out += Cat("  ", t.type, " ", FormatBytes(t.bytes));
  out += Cat("\n  memory        ", FormatBytes(r.weight_bytes + r.kv_bytes), " at ", r.context,
             " tokens: weights ", FormatBytes(r.weight_bytes), ", 16-bit KV cache ",
             FormatBytes(r.kv_bytes), "\n");
  if (flags.tensors) {
    size_t width = 0;
    for (const TensorInfo& t : r.tensors) width = std::max(width, t.name.size());
    for (const TensorInfo& t : r.tensors) {
      out += Cat(Pad(t.name, static_cast<int>(width)), "  ", Pad(t.type, 4), "  ",
                 Pad(ShapeText(t.shape), 16), "  ", PadLeft(FormatBytes(t.bytes), 9), "  ", t.file,
                 "\n");
    }
  }
  return out;
}

}  // namespace

void AddInspect(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("inspect", "say what a checkpoint is made of");
  auto flags = std::make_shared<InspectFlags>();
  verb->add_option("MODEL", flags->model, "checkpoint folder")->required();
  verb->add_option("--ctx", flags->context, "tokens to state memory for; 0: the longest")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_flag("--tensors", flags->tensors, "list every tensor");
  verb->add_flag("--json", flags->json, "print one JSON object");
  verb->footer(
      "Example:\n  awq inspect models/demo --ctx 1024\n\nReads headers alone, no weights.");
  verb->callback([flags, &chosen] {
    chosen = [flags] {
      const InspectReport report = Inspect(flags->model, flags->context);
      if (flags->json) {
        PrintJson(ToJson(*flags, report));
      } else {
        Print(Text(*flags, report));
      }
      return 0;
    };
  });
}

}  // namespace awq
