// awq eval: perplexity, and distance from a reference.
#include <cmath>
#include <memory>

#include "awq/api/evaluate.h"
#include "awq/api/quality.h"
#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/progress.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

struct EvalFlags {
  EvaluateOptions options;
  std::vector<std::string> models;
  std::string reference;
  std::string html;
  bool bos = false;
  bool no_bos = false;
  bool json = false;
};

RawJson ToJson(const EvalFlags& flags, const EvaluateResult& r) {
  RawJson out = {{"model", r.model.string()},
                 {"text", flags.options.text.string()},
                 {"window", flags.options.window},
                 {"bos", r.bos},
                 {"windows", r.windows},
                 {"tokens", r.tokens},
                 {"perplexity", r.perplexity},
                 {"nll", r.nll},
                 {"seconds", r.seconds},
                 {"tokens_per_second", static_cast<double>(r.tokens) / r.seconds}};
  if (r.divergence) {
    out.update({{"against", flags.reference},
                {"reference_perplexity", r.divergence->reference_perplexity},
                {"kld_mean", r.divergence->mean},
                {"kld_median", r.divergence->median},
                {"kld_p99", r.divergence->p99},
                {"kld_p999", r.divergence->p999},
                {"top1", r.divergence->top1}});
  }
  out["peak_rss_bytes"] = PeakRss();
  return out;
}

void PrintText(const EvaluateResult& r) {
  Print(Cat(r.model.string(), "\n  perplexity  ", FormatNumber("%.4f", r.perplexity), "   (",
            r.tokens, " tokens in ", r.windows, r.bos ? " BOS" : " plain", " windows, ",
            FormatSeconds(r.seconds), ", ",
            FormatNumber("%.0f", static_cast<double>(r.tokens) / r.seconds), " tok/s)\n"));
  if (!r.divergence) return;
  const Divergence& d = *r.divergence;
  const double ratio = r.perplexity / d.reference_perplexity - 1;
  Print(Cat("  reference   ", FormatNumber("%.4f", d.reference_perplexity), "   (",
            FormatNumber("%+.2f %%", 100 * ratio), ")\n"));
  Print(Cat("  KLD         mean ", FormatNumber("%.5f", d.mean), ", median ",
            FormatNumber("%.5f", d.median), ", 99 % ", FormatNumber("%.4f", d.p99), ", 99.9 % ",
            FormatNumber("%.4f", d.p999), " nats a token\n  same top 1  ",
            FormatNumber("%.2f %%", 100 * d.top1), "\n"));
}

void ShowProgress(StatusLine& status, const EvaluateProgress& p) {
  const double share = static_cast<double>(p.window) / static_cast<double>(p.windows);
  std::string text = Cat(Bar(share, 24), " ", p.window, "/", p.windows, " windows · perplexity");
  for (double x : p.perplexities) text += FormatNumber(" %.3f", x);
  status.Show(text + " · ETA " + FormatSeconds(p.seconds * (1 / share - 1)));
}

// The numbers of the page, as the verb prints them otherwise.
EvaluateResult Page(const EvalFlags& flags, StatusLine& status) {
  const EvaluateOptions& o = flags.options;
  AWQ_CHECK(!flags.reference.empty() && flags.models.size() == 1, kInvalidArgument,
            "--html compares one model with its 16-bit original: --against ORIGINAL");
  const QualityReport report = MeasureQuality(
      {.model = flags.models.front(),
       .source = flags.reference,
       .text = o.text.string(),
       .window = o.window,
       .max_tokens = o.max_windows * (o.window - 1),
       .device = o.device,
       .threads = o.threads},
      {[&](double done) { status.Show("measuring " + Bar(done, 24)); }, Interrupted});
  WriteQualityPage(report, flags.html);
  return {.model = flags.models.front(),
          .bos = report.bos,
          .windows = report.windows,
          .tokens = report.tokens,
          .nll = std::log(report.quantized.perplexity),
          .perplexity = report.quantized.perplexity,
          .seconds = report.seconds,
          .divergence = report.quantized.divergence};
}

int RunEval(EvalFlags flags) {
  if (flags.bos) flags.options.bos = true;
  if (flags.no_bos) flags.options.bos = false;
  EvaluateCallbacks callbacks;
  StatusLine status(StderrTerminal());
  callbacks.progress = [&](const EvaluateProgress& p) { ShowProgress(status, p); };
  callbacks.cancelled = Interrupted;
  const auto evaluate = [&](const std::vector<std::string>& models) {
    flags.options.models.assign(models.begin(), models.end());
    const std::vector<EvaluateResult> results = Evaluate(flags.options, callbacks);
    status.Clear();
    for (const EvaluateResult& r : results) flags.json ? PrintJson(ToJson(flags, r)) : PrintText(r);
  };
  if (!flags.html.empty()) {
    const EvaluateResult r = Page(flags, status);
    status.Clear();
    flags.json ? PrintJson(ToJson(flags, r)) : PrintText(r);
  } else if (!flags.reference.empty()) {
    flags.options.reference = flags.reference;
    evaluate(flags.models);
  } else {
    for (const std::string& model : flags.models) evaluate({model});
  }
  return 0;
}

}  // namespace

void AddEval(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("eval", "measure perplexity, and what quantization cost");
  auto flags = std::make_shared<EvalFlags>();
  EvaluateOptions& o = flags->options;
  verb->add_option("MODEL", flags->models, "checkpoint folders")->required();
  verb->add_option("--text", o.text, "UTF-8 text to measure on; builtin: novels and documentation")
      ->capture_default_str();
  verb->add_option(
      "--against", flags->reference,
      "a reference, usually the 16-bit original: adds KL divergence and top-1 agreement");
  verb->add_option("--window", o.window, "tokens the model sees at once")->capture_default_str();
  CLI::Option* bos = verb->add_flag(
      "--bos", flags->bos,
      "every window begins with BOS, all text tokens count [if the tokenizer adds one]");
  verb->add_flag(
          "--no-bos", flags->no_bos,
          "windows of text alone; the first token of each and the rest of the text do not count")
      ->excludes(bos);
  verb->add_option("--max-windows", o.max_windows, "only so many from the beginning; 0: all")
      ->capture_default_str();
  verb->add_option("--html", flags->html,
                   "also write a page that compares MODEL, --against and plain rounding")
      ->excludes("--bos", "--no-bos");
  verb->add_flag("--json", flags->json, "print one JSON object a line for each model");
  AddDeviceFlags(*verb, o.device, o.threads);
  AddDtypeFlag(*verb, o.dtype, "f32 on CPUs");
  AddKvTypeFlag(*verb, o.kv_type);
  AddHeadFlag(*verb, o.head_bits, "");
  // One name for the same thing in every verb.
  verb->add_option("--ctx", o.window, "the same as --window")->group("");
  verb->footer(
      "Example:\n  awq eval demo-4bit --text models/demo/sample.txt --against models/demo\n\n"
      "With several models and --against, the reference runs once for all of them.\n"
      "KLD: KL(reference || model) of the next token, in nats.");
  verb->callback([flags, &chosen] { chosen = [flags] { return RunEval(*flags); }; });
}

}  // namespace awq
