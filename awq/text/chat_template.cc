#include "awq/text/chat_template.h"

#include <algorithm>

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
      template_ = jinja::Parse(ReplaceInvalidUtf8(source));
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
      return interpreter->Render(template_);
    } catch (const jinja::EvalError& e) {
      Fail(Code(e.message, ErrorCode::kInvalidArgument),
           Where(origin_, interpreter ? interpreter->position() : jinja::Position{}), e.message);
    }
  }

 private:
  std::string origin_;
  RawJson globals_;
  jinja::Template template_;
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

// One source of a checkpoint's templates.
struct Source {
  std::string name;
  std::string text;
  std::string origin;
};

// Templates by name; a request with tools takes "tool_use" where there is one.
class NamedTemplates : public ChatTemplate {
 public:
  NamedTemplates(const std::vector<Source>& sources, const RawJson& globals) {
    for (const Source& s : sources)
      templates_.emplace_back(s.name, JinjaTemplate(s.text, globals, s.origin));
  }

  std::string Render(const RawJson& context) const override {
    const bool has_tools = context.is_object() && context.contains("tools") &&
                           !context["tools"].is_null() && !context["tools"].empty();
    const ChatTemplate* chosen = has_tools ? Find("tool_use") : nullptr;
    if (chosen == nullptr) chosen = Find("default");
    if (chosen == nullptr) {
      std::string names;
      for (const auto& [name, chat] : templates_) names += (names.empty() ? "" : ", ") + name;
      Fail(ErrorCode::kUnsupported, "no chat template is named \"default\"; there are: ", names);
    }
    return chosen->Render(context);
  }

 private:
  const ChatTemplate* Find(std::string_view name) const {
    for (const auto& [n, chat] : templates_) {
      if (n == name) return &chat;
    }
    return nullptr;
  }

  std::vector<std::pair<std::string, JinjaTemplate>> templates_;
};

// chat_template.jinja is the default one, additional_chat_templates/NAME.jinja are further ones.
std::vector<Source> FromFiles(const fs::path& folder) {
  std::vector<Source> out;
  const auto add = [&](std::string name, const fs::path& file) {
    out.push_back({std::move(name), ReadFile(file), file.string()});
  };
  if (fs::exists(folder / "chat_template.jinja")) add("default", folder / "chat_template.jinja");
  const fs::path more = folder / "additional_chat_templates";
  if (!fs::is_directory(more)) return out;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(more)) {
    if (entry.path().extension() == ".jinja") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) add(file.stem().string(), file);
  return out;
}

// A text, an object of texts by name, or a list of {name, template}.
std::vector<Source> FromJson(const RawJson& json, const std::string& origin) {
  if (json.is_string()) return {{"default", json.get<std::string>(), origin}};
  std::vector<Source> out;
  const auto add = [&](const RawJson& name, const RawJson& text) {
    AWQ_CHECK(name.is_string() && text.is_string(), kCorrupt, origin,
              ": expected names and templates that are strings");
    out.push_back({name.get<std::string>(), text.get<std::string>(),
                   Cat(origin, ".", name.get<std::string>())});
  };
  if (json.is_object()) {
    for (const auto& [name, text] : json.items()) add(RawJson(name), text);
    return out;
  }
  AWQ_CHECK(json.is_array(), kCorrupt, origin, ": expected a string, an object or a list");
  for (const RawJson& entry : json) {
    AWQ_CHECK(entry.is_object() && entry.contains("name") && entry.contains("template"), kCorrupt,
              origin, ": expected a list of {\"name\", \"template\"}");
    add(entry["name"], entry["template"]);
  }
  return out;
}

}  // namespace

std::unique_ptr<const ChatTemplate> ChatTemplate::Load(const fs::path& folder,
                                                       std::string_view name) {
  const fs::path config_file = folder / "tokenizer_config.json";
  const fs::path processor_file = folder / "chat_template.json";
  RawJson config = RawJson::object();
  if (fs::exists(config_file)) config = Json::Load(config_file).raw();
  const RawJson globals = config.is_object() ? SpecialTokens(config) : RawJson::object();
  std::vector<Source> sources = FromFiles(folder);
  const auto read = [&](const RawJson& json, const fs::path& file) {
    if (sources.empty() && json.is_object() && json.contains("chat_template") &&
        !json["chat_template"].is_null())
      sources = FromJson(json["chat_template"], file.string() + ": chat_template");
  };
  read(config, config_file);
  if (sources.empty() && fs::exists(processor_file))
    read(Json::Load(processor_file).raw(), processor_file);
  if (sources.empty() && name.empty()) return nullptr;
  if (!name.empty()) {
    std::erase_if(sources, [&](const Source& s) { return s.name != name; });
    AWQ_CHECK(!sources.empty(), kNotFound, folder.string(), ": no chat template is named \"", name,
              "\"");
  }
  if (sources.size() == 1)
    return std::make_unique<JinjaTemplate>(sources[0].text, globals, sources[0].origin);
  return std::make_unique<NamedTemplates>(sources, globals);
}

std::unique_ptr<const ChatTemplate> ChatTemplate::Parse(std::string_view source,
                                                        const RawJson& globals) {
  return std::make_unique<JinjaTemplate>(source, globals, "chat template");
}

std::string ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt) const {
  RawJson context = {{"messages", RawJson::array()},
                     {"tools", nullptr},
                     {"documents", nullptr},
                     {"add_generation_prompt", add_generation_prompt}};
  for (const ChatMessage& m : messages) {
    context["messages"].push_back({{"role", m.role}, {"content", m.content}});
  }
  return Render(context);
}

}  // namespace awq
