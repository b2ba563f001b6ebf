#include "awq/text/chat_template.h"

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/text/jinja/interpreter.h"
#include "awq/text/jinja/parser.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

std::string Where(const std::string& origin, const jinja::Position& at) {
  return Cat(origin, ": line ", at.line, ", column ", at.column, ": ");
}

// Messages begin with "unsupported: " where Jinja does what we do not.
ErrorCode Code(const std::string& message, ErrorCode otherwise) {
  return message.starts_with("unsupported: ") ? ErrorCode::kUnsupported : otherwise;
}

class JinjaTemplate : public ChatTemplate {
 public:
  JinjaTemplate(std::string_view source, const RawJson& globals, std::string origin)
      : origin_(std::move(origin)), globals_(globals) {
    try {
      body_ = jinja::Parse(ReplaceInvalidUtf8(source));
    } catch (const jinja::SyntaxError& e) {
      Fail(Code(e.message, ErrorCode::kCorrupt), Where(origin_, e.at), e.message);
    }
  }

  std::string Render(const RawJson& context) const override {
    std::unique_ptr<jinja::Interpreter> interpreter;
    try {
      jinja::Dict variables;
      for (const RawJson* source : {&globals_, &context}) {
        if (!source->is_object()) continue;
        for (const auto& [name, value] : source->items()) {
          variables.Set(jinja::Value(name), jinja::Value::FromJson(value));
        }
      }
      interpreter = std::make_unique<jinja::Interpreter>(variables);
      return interpreter->Render(body_);
    } catch (const jinja::EvalError& e) {
      Fail(Code(e.message, ErrorCode::kInvalidArgument),
           Where(origin_, interpreter ? interpreter->position() : jinja::Position{}), e.message);
    }
  }

 private:
  std::string origin_;
  RawJson globals_;
  jinja::Body body_;
};

// tokenizer_config.json's special tokens: a string, or an object with the string in "content".
RawJson SpecialTokens(const RawJson& config) {
  RawJson out = RawJson::object();
  for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                           "cls_token", "mask_token"}) {
    if (!config.contains(name)) continue;
    const RawJson& token = config[name];
    if (token.is_string()) out[name] = token;
    if (token.is_object() && token.contains("content") && token["content"].is_string()) {
      out[name] = token["content"];
    }
  }
  return out;
}

// The template of a name in a list of {name, template}; the default one, or the only one.
std::string NamedTemplate(const RawJson& list, const std::string& origin) {
  const RawJson* chosen = nullptr;
  for (const RawJson& entry : list) {
    AWQ_CHECK(entry.is_object() && entry.contains("name") && entry.contains("template") &&
                  entry["template"].is_string(),
              kCorrupt, origin, ": chat_template: expected a list of {\"name\", \"template\"}");
    if (entry["name"] == "default" || list.size() == 1) chosen = &entry;
  }
  AWQ_CHECK(chosen != nullptr, kUnsupported, origin,
            ": chat_template: expected one named \"default\", found ", list.size(), " others");
  return (*chosen)["template"].get<std::string>();
}

}  // namespace

std::unique_ptr<const ChatTemplate> ChatTemplate::Load(const fs::path& folder) {
  const fs::path config_file = folder / "tokenizer_config.json";
  const fs::path template_file = folder / "chat_template.jinja";
  RawJson config = RawJson::object();
  if (fs::exists(config_file)) config = Json::Load(config_file).raw();
  const RawJson globals = config.is_object() ? SpecialTokens(config) : RawJson::object();
  if (fs::exists(template_file)) {
    return std::make_unique<JinjaTemplate>(ReadFile(template_file), globals,
                                           template_file.string());
  }
  if (!config.is_object() || !config.contains("chat_template") || config["chat_template"].is_null())
    return nullptr;
  const RawJson& source = config["chat_template"];
  AWQ_CHECK(source.is_string() || source.is_array(), kCorrupt, config_file.string(),
            ": chat_template: expected a string or a list");
  const std::string text =
      source.is_string() ? source.get<std::string>() : NamedTemplate(source, config_file.string());
  return std::make_unique<JinjaTemplate>(text, globals, config_file.string() + ": chat_template");
}

std::unique_ptr<const ChatTemplate> ChatTemplate::Parse(std::string_view source,
                                                        const RawJson& globals) {
  return std::make_unique<JinjaTemplate>(source, globals, "chat template");
}

std::string ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt) const {
  RawJson context = {{"messages", RawJson::array()},
                     {"add_generation_prompt", add_generation_prompt}};
  for (const ChatMessage& m : messages) {
    context["messages"].push_back({{"role", m.role}, {"content", m.content}});
  }
  return Render(context);
}

}  // namespace awq
