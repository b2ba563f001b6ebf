// awq quantize: a 16-bit checkpoint in, a 4-bit checkpoint out.
#include <malloc.h>

#include <memory>
#include <optional>

#include "awq/api/quantize.h"
#include "awq/base/file.h"
#include "awq/cli/exit_code.h"
#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/progress.h"
#include "awq/cli/quantize_flags.h"
#include "awq/cli/quantize_output.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

// One JSON object a line, each written at once, so that a run can be followed and survives as it
// was.
class JsonlLog {
 public:
  explicit JsonlLog(const std::string& file) {
    if (!file.empty()) out_.emplace(file);
  }
  void Write(const RawJson& json) {
    if (out_) out_->Write(json.dump(-1, ' ', false, RawJson::error_handler_t::replace) + "\n");
  }
  void Close() {
    if (out_) out_->Close();
  }

 private:
  std::optional<FileWriter> out_;
};

// What the run needs, and nothing else.
int RunPlan(const QuantizeFlags& flags) {
  QuantizeCallbacks callbacks;
  callbacks.warning = [](const std::string& w) { PrintErr("awq: warning: " + w + "\n"); };
  callbacks.cancelled = [] { return Interrupted(); };
  const QuantizePlan plan = PlanQuantize(flags.options, callbacks);
  if (flags.json) {
    PrintJson(ToJson(plan));
  } else {
    PrintPlan(flags.options, plan);
  }
  return 0;
}

int RunQuantize(QuantizeFlags flags) {
  // What is freed goes back to the system instead of waiting in the heap, whose size would
  // otherwise creep above what is in use. A fixed value also keeps glibc from raising it.
  mallopt(M_MMAP_THRESHOLD, 1 << 17);
  ReadQuantizeFlags(flags);
  const QuantizeOptions& o = flags.options;
  if (flags.dry_run) return RunPlan(flags);
  JsonlLog log(flags.log_jsonl);
  const auto progress = MakeQuantizeProgress(StderrTerminal());
  QuantizeCallbacks callbacks;
  StatusLine status(StderrTerminal());
  callbacks.progress = [&](const QuantizeEvent& e) {
    status.Clear();
    progress->OnEvent(e);
    log.Write(ToJson(e));
  };
  callbacks.warning = [&](const std::string& warning) {
    progress->OnWarning(warning);
    log.Write({{"event", "warning"}, {"message", warning}});
  };
  callbacks.weighing = [&](double done) {
    status.Show(Cat("weighing errors by gradients ", Bar(done, 24)));
  };
  callbacks.searching = [&](double done) {
    status.Show(Cat("measuring sensitivity ", Bar(done, 24)));
  };
  callbacks.curve = [&](const std::vector<TradeOffPoint>& curve) {
    status.Clear();
    if (!flags.json) Print(CurveTable(curve));
  };
  callbacks.measuring = [&](double done) {
    progress->Close();
    status.Show(Cat("measuring quality ", Bar(done, 24)));
  };
  callbacks.cancelled = [&] {
    progress->Tick();
    return Interrupted();
  };
  QuantizeReport report;
  try {
    report = Quantize(o, callbacks);
  } catch (const Error& e) {
    progress->Close();
    log.Write({{"event", "error"}, {"code", ErrorCodeName(e.code())}, {"message", e.what()}});
    if (e.code() != ErrorCode::kCancelled) throw;
    PrintErr(Cat("awq: ", e.what(), "\n"));
    return kExitStopped;
  }
  progress->Close();
  status.Clear();
  if (o.curve_only) {
    if (flags.json) PrintJson({{"event", "curve"}, {"curve", ToJson(report.curve)}});
    return 0;
  }
  const RawJson summary = ToJson(o, report);
  log.Write(summary);
  log.Close();
  if (flags.json) {
    PrintJson(summary);
  } else {
    PrintReport(o, report);
  }
  return 0;
}

}  // namespace

void AddQuantize(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("quantize", "make a 4-bit checkpoint of a 16-bit one");
  auto flags = std::make_shared<QuantizeFlags>();
  AddQuantizeFlags(*verb, *flags);
  AddDeviceFlags(*verb, flags->options.device, flags->options.threads);
  verb->add_option("--log-jsonl", flags->log_jsonl,
                   "also write events to FILE, a JSON object a line");
  verb->add_flag("--json", flags->json, "print the summary as one JSON object");
  verb->footer(
      "Example:\n  awq quantize models/demo -o demo-4bit --group-size 64\n\n"
      "Progress goes to stderr: a table on a terminal, a line for each linear elsewhere. \"error\" "
      "is\n"
      "the squared error of a linear's outputs as a share of the outputs, by plain rounding and "
      "as\n"
      "written.\n\n"
      "Ctrl-C or SIGTERM stops within moments; OUTPUT.partial keeps the finished layers, as it "
      "does\n"
      "after a crash, a full disk or kill -9, and the same command with --resume goes on. A "
      "second\n"
      "Ctrl-C ends the process at once, which loses no more.");
  verb->callback([flags, &chosen] { chosen = [flags] { return RunQuantize(*flags); }; });
}

}  // namespace awq
