// awq verify: whether a checkpoint is whole, sane, and still its source model.
#include <algorithm>
#include <memory>

#include "awq/api/verify.h"
#include "awq/cli/exit_code.h"
#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/progress.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

struct VerifyFlags {
  VerifyOptions options;
  std::string source;
  bool json = false;
};

RawJson ToJson(const VerifyFlags& flags, const VerifyReport& r) {
  RawJson out = {{"model", flags.options.model.string()},
                 {"ok", r.ok()},
                 {"problems", r.problems},
                 {"notes", r.notes},
                 {"files_hashed", r.files_hashed},
                 {"passport", r.passport.empty() ? RawJson(nullptr) : RawJson(r.passport)},
                 {"tensors_checked", r.tensors_checked}};
  if (!flags.source.empty()) {
    out["source"] = flags.source;
    out["linears"] = RawJson::object();
    for (const LinearError& l : r.linears) out["linears"][l.linear] = l.relative_error;
  }
  if (r.logits) {
    out["logits"] = {
        {"tokens", r.logits->tokens}, {"kld_mean", r.logits->kld_mean}, {"top1", r.logits->top1}};
  }
  return out;
}

// The mean over the linears of one layer ("….layers.3.…"), for the table.
std::string LayerOf(const std::string& module) {
  const auto at = module.find_first_of("0123456789");
  return at == std::string::npos ? module : module.substr(0, module.find('.', at));
}

std::string LayerTable(const std::vector<LinearError>& linears) {
  std::string out;
  for (size_t i = 0; i < linears.size();) {
    double sum = 0;
    size_t worst = i;
    size_t end = i;
    for (; end < linears.size() && LayerOf(linears[end].linear) == LayerOf(linears[i].linear);
         ++end) {
      sum += linears[end].relative_error;
      if (linears[end].relative_error > linears[worst].relative_error) worst = end;
    }
    const std::string layer = LayerOf(linears[i].linear);
    out +=
        Cat("  ", layer, "  mean error ", FormatNumber("%.4f", sum / static_cast<double>(end - i)),
            ", largest ", FormatNumber("%.4f", linears[worst].relative_error), " (",
            linears[worst].linear.substr(std::min(linears[worst].linear.size(), layer.size() + 1)),
            ")\n");
    i = end;
  }
  return out;
}

std::string Text(const VerifyFlags& flags, const VerifyReport& r) {
  std::string out = Cat(flags.options.model.string(), ": ", r.files_hashed, " files hashed, ",
                        r.tensors_checked, " weights checked\n", LayerTable(r.linears));
  if (r.logits) {
    out += Cat("  logits against the source on ", r.logits->tokens, " tokens: KLD ",
               FormatNumber("%.5f", r.logits->kld_mean), " nats, same top 1 ",
               FormatNumber("%.1f %%", 100 * r.logits->top1), "\n");
  }
  if (!r.passport.empty()) out += "  passport: " + r.passport + "\n";
  for (const std::string& note : r.notes) out += "  note: " + note + "\n";
  for (const std::string& problem : r.problems) out += "  PROBLEM: " + problem + "\n";
  return out + (r.ok() ? "ok\n" : "");
}

int RunVerify(VerifyFlags& flags) {
  if (!flags.source.empty()) flags.options.source = flags.source;
  StatusLine status(StderrTerminal());
  VerifyCallbacks callbacks;
  callbacks.progress = [&](const std::string& what) { status.Show("checking " + what); };
  callbacks.cancelled = Interrupted;
  const VerifyReport report = Verify(flags.options, callbacks);
  status.Clear();
  if (flags.json) {
    PrintJson(ToJson(flags, report));
  } else {
    Print(Text(flags, report));
  }
  if (report.ok()) return kExitOk;
  PrintErr(Cat("awq: error: ", flags.options.model.string(), ": ", report.problems.size(),
               report.problems.size() == 1 ? " problem found\n" : " problems found\n"));
  return kExitFailed;
}

}  // namespace

void AddVerify(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("verify", "check that a checkpoint is whole and sane");
  auto flags = std::make_shared<VerifyFlags>();
  verb->add_option("MODEL", flags->options.model, "checkpoint folder")->required();
  verb->add_option("--source", flags->source,
                   "the 16-bit checkpoint it was made from: compares every linear, and logits");
  verb->add_flag("--remeasure", flags->options.remeasure,
                 "measure the numbers of quality.json again (with --source)");
  verb->add_option("--eval-text", flags->options.eval_text,
                   "the text they were measured on, if not the built-in one");
  verb->add_flag("--json", flags->json, "print one JSON object");
  AddDeviceFlags(*verb, flags->options.device, flags->options.threads);
  verb->footer(
      "Example:\n  awq verify demo-4bit --source models/demo\n\n"
      "Checks hashes (awq_manifest.json, quality.json), presence and shapes of tensors, and "
      "values. \"error\" "
      "is\n"
      "||W' - W|| / ||W|| once AWQ's scales are undone; 4-bit rounding gives about 0.1.\n"
      "Exit status 1 when there are problems.");
  verb->callback([flags, &chosen] { chosen = [flags] { return RunVerify(*flags); }; });
}

}  // namespace awq
