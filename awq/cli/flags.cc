#include "awq/cli/flags.h"

namespace awq {

void AddDeviceFlags(CLI::App& verb, std::string& device, int& threads) {
  verb.add_option("--device", device, "auto, cpu, cuda or ref (slow, the definition of the others)")
      ->envname("AWQ_DEVICE")
      ->capture_default_str()
      ->group("Machine");
  verb.add_option("--threads", threads, "CPU threads; 0: all cores this process may use")
      ->envname("AWQ_THREADS")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str()
      ->group("Machine");
}

void AddDtypeFlag(CLI::App& verb, std::string& dtype, const std::string& automatic) {
  verb.add_option("--dtype", dtype,
                  "type of activations: f32, bf16, f16 (cuda) or auto, " + automatic)
      ->capture_default_str()
      ->group("Machine");
}

void AddKvTypeFlag(CLI::App& verb, std::string& kv_type) {
  verb.add_option(
          "--kv-type", kv_type,
          "type of the KV cache: f32, bf16, f16, fp8 (E4M3, half the memory of 16 bits at a "
          "small loss) or auto, that of activations")
      ->capture_default_str()
      ->group("Machine");
}

void AddHeadFlag(CLI::App& verb, int& bits, const std::string& automatic) {
  std::vector<std::string> names = {"16", "8", "4"};
  if (!automatic.empty()) names.insert(names.begin(), "auto");
  const auto set = [&bits](const std::string& name) {
    bits = name == "auto" ? 0 : std::stoi(name);
  };
  verb.add_option_function<std::string>(
          "--head-bits", set,
          "bits of the head's weight: 16 as stored; 8 or 4, rounded when it is loaded" +
              (automatic.empty() ? "" : "; auto: " + automatic))
      ->check(CLI::IsMember(names))
      ->default_str(names.front())
      ->group("Machine");
}

void AddDeterministicFlag(CLI::App& verb, bool& deterministic) {
  verb.add_flag("--deterministic", deterministic,
                "the same tokens, to the last bit, whatever else runs in a batch; slower")
      ->group("Machine");
}

void AddLlmFlags(CLI::App& verb, LlmOptions& options) {
  AddDeviceFlags(verb, options.device, options.threads);
  AddDtypeFlag(verb, options.dtype, "the device's choice");
  AddKvTypeFlag(verb, options.kv_type);
  AddHeadFlag(verb, options.head_bits, kHeadBitsAuto);
  AddDeterministicFlag(verb, options.deterministic);
  verb.add_option("--ctx", options.context,
                  "tokens of prompt and answer together; 0: as many as the model was made for")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group("Machine");
  verb.add_option("--kv-memory", options.kv_memory,
                  "memory for keys and values, e.g. 2GB; 0: what --ctx takes, as far as it is free")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str()
      ->group("Machine");
}

void AddGenerateFlags(CLI::App& verb, GenerateOptions& o) {
  const auto add = [&](const std::string& name, auto& value, const std::string& text) {
    return verb.add_option(name, value, text)->group("Generation");
  };
  add("-n,--max-tokens", o.max_tokens, "tokens of an answer at most [512, or what --ctx leaves]");
  add("-t,--temperature", o.temperature,
      "0: always the most likely token; 1: as likely as the model says [the model's]");
  add("--top-k", o.top_k, "only the K most likely tokens; 0: all [the model's]");
  add("--top-p", o.top_p, "only the most likely tokens that together reach P, 0…1 [the model's]");
  add("--min-p", o.min_p, "only tokens at least P times as likely as the first, 0…1 [the model's]");
  add("--repetition-penalty", o.repetition_penalty,
      "divides positive logits of tokens seen before, multiplies negative ones [the model's]");
  add("--presence-penalty", o.presence_penalty, "subtracted from logits of tokens of the answer")
      ->capture_default_str();
  add("--frequency-penalty", o.frequency_penalty, "the same, once for each time it was used")
      ->capture_default_str();
  add("--seed", o.seed, "equal seeds give equal answers [another one each time]");
  add("--stop", o.stop, "end the answer before this text (\\n: a line break); may be repeated")
      ->allow_extra_args(false);
  verb.add_flag("--ignore-eos", o.ignore_eos, "go on after the end-of-text token")
      ->group("Generation");
}

std::string Unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    switch (c) {
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'r':
        out += '\r';
        break;
      case '\\':
        out += '\\';
        break;
      default:
        out += {'\\', c};
    }
  }
  return out;
}

}  // namespace awq
