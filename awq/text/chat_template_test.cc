// Rendered text against jinja2 set up as Transformers does: testdata/text/templates, made by
// tools/make_template_goldens.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "awq/base/error.h"
#include "awq/base/testing.h"
#include "awq/text/chat_template.h"

namespace awq {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(AWQ_TESTDATA) / "text" / "templates";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& e : fs::directory_iterator(kFolder)) {
    if (e.path().stem() != "snippets") names.push_back(e.path().stem());
  }
  EXPECT_GE(names.size(), 50u);
  std::sort(names.begin(), names.end());
  return names;
}

// The text, or what went wrong.
std::string Render(const std::string& source, const RawJson& context, bool& failed,
                   ErrorCode& code) {
  try {
    failed = false;
    return ChatTemplate::Parse(source, RawJson::object())->Render(context);
  } catch (const Error& e) {
    failed = true;
    code = e.code();
    return e.what();
  }
}

void Check(const std::string& source, const RawJson& context, const RawJson& expected) {
  SCOPED_TRACE(source.substr(0, 300) + "\ncontext: " + context.dump().substr(0, 500));
  bool failed = false;
  ErrorCode code{};
  const std::string text = Render(source, context, failed, code);
  if (expected.contains("expected")) {
    EXPECT_FALSE(failed) << text;
    EXPECT_EQ(text, expected["expected"].get<std::string>());
    return;
  }
  EXPECT_TRUE(failed) << text;
  if (code != ErrorCode::kUnsupported) {
    EXPECT_EQ(code,
              expected.contains("syntax_error") ? ErrorCode::kCorrupt : ErrorCode::kInvalidArgument)
        << text;
  }
  EXPECT_NE(text.find("line "), std::string::npos) << text;
}

class Published : public ::testing::TestWithParam<std::string> {};

TEST_P(Published, RendersAsJinja) {
  const RawJson golden = Json::Load(kFolder / (GetParam() + ".json")).raw();
  ASSERT_GT(golden["cases"].size(), 10u);
  for (const RawJson& c : golden["cases"])
    Check(golden["template"].get<std::string>(), c["context"], c);
}

INSTANTIATE_TEST_SUITE_P(Templates, Published, ::testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

TEST(ChatTemplate, Snippets) {
  const RawJson golden = Json::Load(kFolder / "snippets.json").raw();
  ASSERT_GT(golden["cases"].size(), 600u);
  for (const RawJson& c : golden["cases"])
    Check(c["template"].get<std::string>(), golden["context"], c);
}

TEST(ChatTemplate, LoadsFromFolders) {
  const fs::path folder = fs::path(::testing::TempDir()) / "awq_chat_template_test";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder / name) << text;
  };
  EXPECT_EQ(ChatTemplate::Load(folder), nullptr);
  write("tokenizer_config.json", R"({"bos_token": {"content": "<b>"}, "eos_token": "<e>"})");
  EXPECT_EQ(ChatTemplate::Load(folder), nullptr);
  write(
      "tokenizer_config.json",
      R"({"bos_token": {"content": "<b>"}, "chat_template": [{"name": "tool_use", "template": "no"},
            {"name": "default", "template": "{{ bos_token }}{{ messages[0].role }}"}]})");
  EXPECT_EQ(ChatTemplate::Load(folder)->Render({{"user", "x"}}, false), "<b>user");
  write("chat_template.jinja",
        "{{ bos_token }}{{ messages[0].content }}{{ add_generation_prompt }}");
  EXPECT_EQ(ChatTemplate::Load(folder)->Render({{"user", "x"}}, true), "<b>xTrue");
  fs::create_directories(folder / "additional_chat_templates");
  write("additional_chat_templates/tool_use.jinja", "tools: {{ (tools or []) | length }}");
  const RawJson with_tools = {{"messages", RawJson::array()}, {"tools", {1, 2}}};
  EXPECT_EQ(ChatTemplate::Load(folder)->Render(with_tools), "tools: 2");
  EXPECT_EQ(ChatTemplate::Load(folder, "default")->Render({{"user", "x"}}, true), "<b>xTrue");
  EXPECT_EQ(ChatTemplate::Load(folder, "tool_use")->Render({{"user", "x"}}, true), "tools: 0");
  ExpectError(ErrorCode::kNotFound, {"\"rag\""}, [&] { (void)ChatTemplate::Load(folder, "rag"); });
  fs::remove_all(folder / "additional_chat_templates");
  fs::remove(folder / "chat_template.jinja");
  write("tokenizer_config.json", R"({"chat_template": {"a": "A", "b": "B"}})");
  EXPECT_EQ(ChatTemplate::Load(folder, "b")->Render({{"user", "x"}}, true), "B");
  ExpectError(ErrorCode::kUnsupported, {"a, b"}, [&] {
    (void)ChatTemplate::Load(folder)->Render({{"user", "x"}}, true);
  });
  write("tokenizer_config.json", R"({"chat_template": 5})");
  ExpectError(ErrorCode::kCorrupt, {"chat_template"}, [&] { (void)ChatTemplate::Load(folder); });
  write("tokenizer_config.json", R"({"chat_template": [{"name": 1, "template": "x"}]})");
  ExpectError(ErrorCode::kCorrupt, {"chat_template"}, [&] { (void)ChatTemplate::Load(folder); });
  fs::remove(folder / "tokenizer_config.json");
  write("chat_template.json", R"({"chat_template": "{{ tools is none and documents is none }}"})");
  EXPECT_EQ(ChatTemplate::Load(folder)->Render({{"user", "x"}}, false), "True");
  write("chat_template.jinja", "line\n{{ oops }");
  try {
    ChatTemplate::Load(folder);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCorrupt);
    EXPECT_NE(std::string(e.what()).find("chat_template.jinja: line 2, column"), std::string::npos)
        << e.what();
  }
  fs::remove_all(folder);
}

// Each would take forever, or all memory or stack, if nothing bounded it.
TEST(ChatTemplate, HostileTemplatesAreStopped) {
  const std::string many(5000, '(');
  std::string chain = "{{ 1";
  for (int i = 0; i < 100000; ++i) chain += "+1";
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "{% if 1 %}";
  const std::string doubling =
      "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(99) %}"
      "{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
  const std::string templates[] = {
      doubling,
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{{ 'x' * 99999999999 }}",
      "{{ [0] * 99999999999 }}",
      "{{ '%999999999d' % 1 }}",
      "{{ 'x'.center(99999999999) }}",
      "{{ 'aaaa'.replace('', 'b' * 1000000) * 100000 }}",
      "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor "
      "%}",
      "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x }}",
      "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ " + many,
      chain + " }}",
      nested,
      "{{ -9223372036854775807 - 2 }}",
      "{{ 99999999999999999999 }}",
  };
  const std::string grows = "{% set ns = namespace(x=['a', 'b']) %}{% for i in range(99999) %}";
  const std::string body[] = {
      "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
      "{% set ns.x = ns.x + ns.x %}{% endfor %}",
      "{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}{{ ns.x == ns.x }}",
      "{% set ns.x = (ns.x | join(ns.x | string)) | list %}{% endfor %}",
      "{% set ns.x = [ns.x | tojson, ns.x | tojson] %}{% endfor %}",
      "{% set ns.x = ns.x | map('string') | list + ns.x %}{% endfor %}",
      "{% set ns.x = (ns.x | string).replace('a', ns.x | string) | list %}{% endfor %}",
      "{% set big = range(99999) | list %}{{ big == big[:] }}{{ 7.5 in big }}{% endfor %}",
      "{% set big = 'x' * 9999999 %}{{ big | length }}{{ big[5] }}{{ 'y' in big }}{% endfor %}",
      "{% set big = range(99999) | unique | list %}{% endfor %}",
      "{% set big = dict(range(99999) | map('string') | batch(2)) %}{{ big }}{% endfor %}",
      "{% set big = range(99999)[::-1] | sort | groupby('real') %}{% endfor %}",
      "{% for a in range(99999) if false %}{% endfor %}{% endfor %}",
  };
  std::vector<std::string> all(std::begin(templates), std::end(templates));
  for (const std::string& b : body) all.push_back(grows + b);
  for (const char* source :
       {"{{ '%*d' % (99999999, 1) }}", "{{ '{:99999999}'.format(1) }}", "{{ '%.99999999f' % 1.0 }}",
        "{{ '{:{}}'.format(1, 99999999) }}", "{{ 'x'.ljust(9999999999) }}",
        "{{ 'x'.zfill(9999999999) }}", "{{ '\\t'.expandtabs(9999999999) }}",
        "{{ 'a\\nb' | indent(9999999999) }}", "{{ 'x' | center(9999999999) }}",
        "{{ [1] | batch(9999999999, 'x') | list }}", "{{ [1] | slice(9999999999) | list }}",
        "{{ [1] | tojson(indent=9999999999) }}", "{{ 10 ** 10000000000 }}",
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}"})
    all.push_back(source);
  for (const std::string& source : all) {
    bool failed = false;
    ErrorCode code{};
    Render(source, RawJson::object(), failed, code);
    EXPECT_TRUE(failed) << source.substr(0, 180);
  }
}

TEST(ChatTemplate, RefusalsNameTheirReason) {
  const std::pair<const char*, const char*> cases[] = {
      {"{% include 'x' %}", "unsupported: the tag 'include'"},
      {"{% block a %}{% endblock %}", "unsupported: the tag 'block'"},
      {"{{ [1] | map('string') }}", "unsupported: a generator cannot be written"},
      {"{{ 9223372036854775807 + 1 }}", "limit: an integer beyond 64 bits"},
      {"{{ 'a' | pprint }}", "unsupported: this filter"},
      {"a\n  {{ 1 +* }}", "line 2, column 9"},
      {"a\n{% if x.y.z %}{% endif %}", "line 2, column 10"},
  };
  for (const auto& [source, part] : cases) {
    bool failed = false;
    ErrorCode code{};
    const std::string text = Render(source, RawJson::object(), failed, code);
    EXPECT_TRUE(failed) << source;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST(ChatTemplate, LongConversationsRender) {
  RawJson context = {{"messages", RawJson::array()}};
  const std::string content(1000, 'x');
  for (int i = 0; i < 4000; ++i)
    context["messages"].push_back({{"role", "user"}, {"content", content}});
  const auto chat = ChatTemplate::Parse(
      "{% for m in messages[::-1] %}{% if loop.index0 < messages | length - 1 and messages | first "
      "is mapping %}{{ m.content }}{% endif %}{% endfor %}",
      RawJson::object());
  EXPECT_EQ(chat->Render(context).size(), 3999u * 1000);
}

TEST(ChatTemplate, FunctionsOutliveTheirObjects) {
  const auto render = [](const std::string& source) {
    return ChatTemplate::Parse(source, RawJson::object())->Render(RawJson::object());
  };
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in [1] %}{% set ns.f = loop.cycle %}"
                   "{% endfor %}{{ ns.f('a', 'b') }}"),
            "a");
  const std::string keep = "{% set ns = namespace() %}{% for i in [1] %}{% set j = i %}";
  EXPECT_EQ(render(keep + "{% macro m() %}{{ j }}{% endmacro %}{% set ns.m = m %}{{ ns.m() }}"
                          "{% endfor %}{{ ns.m() }}|"),
            "1|");
  ExpectError(ErrorCode::kUnsupported, {"'i' of a loop that is over"}, [&] {
    render(keep + "{% macro m() %}{{ i }}{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}");
  });
}

}  // namespace
}  // namespace awq
