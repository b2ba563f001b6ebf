// ChatTemplate: a checkpoint's Jinja chat template, rendered as Transformers renders it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/json.h"

namespace awq {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
};

// Immutable after loading. A template is untrusted input: recursion, loops and output are bounded.
class ChatTemplate {
 public:
  // chat_template.jinja with additional_chat_templates/, or the chat_template of
  // tokenizer_config.json or chat_template.json (a text, or texts by name), with the special tokens
  // of tokenizer_config.json. `name`: this one alone; without it, "default", or "tool_use" for
  // contexts with tools where there is one. Null when the checkpoint has none; kNotFound when none
  // has the name. Throws kCorrupt naming line and column.
  static std::unique_ptr<const ChatTemplate> Load(const std::filesystem::path& folder,
                                                  std::string_view name = {});
  // `globals`: further variables, e.g. {"bos_token": "<s>"}.
  static std::unique_ptr<const ChatTemplate> Parse(std::string_view source, const RawJson& globals);
  virtual ~ChatTemplate() = default;

  // Without tools and documents, which are none. Throws kInvalidArgument for raise_exception() and
  // undefined operations, kUnsupported for what docs/text.md lists as refused; naming line and
  // column.
  std::string Render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;
  // `context` as Transformers passes it: messages, tools, documents, add_generation_prompt, …
  virtual std::string Render(const RawJson& context) const = 0;
};

}  // namespace awq
