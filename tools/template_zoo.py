"""Chat templates of our own, restating the constructs of published ones; for make_template_goldens.py."""

TEMPLATES = {}

TEMPLATES["chatml"] = """{% for turn in messages %}{{ '<|im_start|>' + turn['role'] + '\\n' + turn['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

TEMPLATES["chatml_default_system"] = """{%- if messages[0]['role'] == 'system' -%}
    {%- set intro = messages[0]['content'] -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set intro = 'Be helpful.' -%}
    {%- set rest = messages -%}
{%- endif -%}
{{- bos_token ~ '<|im_start|>system\\n' ~ intro ~ '<|im_end|>\\n' -}}
{%- for m in rest if m.role != 'tool' -%}
    {{- '<|im_start|>' ~ m.role ~ '\\n' ~ (m.content or '') | trim ~ '<|im_end|>\\n' -}}
{%- else -%}
    {{- '(nothing)' -}}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""

TEMPLATES["llama2"] = r"""{% set orders = false %}{% set turns = messages %}{% if messages[0]['role'] == 'system' %}{% set orders = messages[0]['content'] %}{% set turns = messages[1:] %}{% endif %}{% for turn in turns %}{% if (loop.index0 % 2 == 1) == (turn['role'] == 'user') %}{{ raise_exception('Roles must take turns: user, assistant, user, …') }}{% endif %}{% set text = turn['content'] %}{% if orders != false and loop.index0 == 0 %}{% set text = '<<SYS>>\n' + orders + '\n<</SYS>>\n\n' + text %}{% endif %}{% if turn['role'] == 'assistant' %}{{ ' ' + text.strip() + ' ' + eos_token }}{% elif turn['role'] == 'user' %}{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}{% elif turn['role'] == 'system' %}{{ '<<SYS>>\n' + text.strip() + '\n<</SYS>>\n\n' }}{% endif %}{% endfor %}"""

TEMPLATES["llama3"] = r"""{% macro head(who) %}{{ '<|start_header_id|>' + who + '<|end_header_id|>\n\n' }}{% endmacro %}{% set turns = messages %}{% for turn in turns %}{% set text = head(turn['role']) + turn['content'] | trim + '<|eot_id|>' %}{% if loop.first %}{% set text = bos_token + text %}{% endif %}{{ text }}{% endfor %}{{ head('assistant') if add_generation_prompt }}"""

TEMPLATES["llama31_tools"] = r"""{{- bos_token }}
{%- macro head(who) %}{{- "<|start_header_id|>" + who + "<|end_header_id|>\n\n" }}{%- endmacro %}
{%- macro list_of(functions) %}
    {%- for f in functions %}
        {{- f | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endmacro %}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- elif not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "1 May 2020" %}
{%- endif %}

{#- The system text comes first. #}
{%- set orders = "" %}
{%- if messages[0]['role'] == 'system' %}
    {%- set orders = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- head("system") }}
{%- if tools is not none or builtin_tools is defined %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Today: " + date_string + "\n\n" }}
{%- if not tools_in_user_message and tools is not none %}
    {{- list_of(tools) }}
{%- endif %}
{{- orders + "<|eot_id|>" }}
{%- if not tools is none and tools_in_user_message %}
    {%- if messages | length == 0 %}
        {{- raise_exception("There is no turn to put the functions in!") }}
    {%- endif %}
    {%- set opening = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
    {{- head("user") }}
    {{- "These functions exist:\n\n" ~ list_of(tools) ~ opening ~ "<|eot_id|>" }}
{%- endif %}
{%- for turn in messages %}
    {%- if 'tool_calls' in turn %}
        {%- if turn.tool_calls|length != 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set f = turn.tool_calls[0].function %}
        {%- if builtin_tools is defined and f.name in builtin_tools %}
            {{- "<|python_tag|>" + f.name + ".call(" }}
            {%- for key, value in f.arguments | items %}
                {{- key + '="' + value + '"' }}
                {%- if not loop.last %}{{- ", " }}{%- endif %}
            {%- endfor %}
            {{- ")" }}
        {%- else %}
            {{- '{"name": "' + f.name + '", "parameters": ' }}
            {{- f.arguments | tojson }}
            {{- "}" }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- elif turn.role in ["tool", "ipython"] %}
        {{- head("ipython") }}
        {%- if turn.content is iterable or turn.content is mapping %}
            {{- turn.content | tojson }}
        {%- else %}
            {{- turn.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- else %}
        {{- head(turn['role']) + turn['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- head('assistant') }}
{%- endif %}
"""

TEMPLATES["mistral_v1"] = r"""{{ bos_token }}{% for turn in messages %}{% set asks = turn['role'] == 'user' %}{% if asks != (loop.index0 is even) %}{{ raise_exception('question, answer, question, …') }}{% endif %}{% if asks %}{{ '[INST] ' + turn['content'] + ' [/INST]' }}{% elif turn['role'] == 'assistant' %}{{ turn['content'] + eos_token}}{% else %}{{ raise_exception('who is ' + turn['role'] + '?') }}{% endif %}{% endfor %}"""

TEMPLATES["mistral_v3"] = r"""{%- set turns = messages %}
{%- if turns and turns[0]["role"] == "system" %}
    {%- set orders, turns = turns[0]["content"], turns[1:] %}
{%- endif %}
{%- if tools is not defined %}
    {%- set tools = none %}
{%- endif %}
{%- set asked = turns | selectattr("role", "equalto", "user") | list %}
{%- set count = namespace(plain=0) %}
{%- for turn in turns %}
    {%- set calls = turn.tool_calls is defined and turn.tool_calls is not none %}
    {%- if not calls and turn.role not in ["tool", "tool_results"] %}
        {%- if (count.plain % 2 == 0) != (turn["role"] == "user") %}
            {{- raise_exception("turn " ~ loop.index ~ " is out of order") }}
        {%- endif %}
        {%- set count.plain = count.plain + 1 %}
    {%- endif %}
{%- endfor %}
{%- macro offer(f) %}
    {{- '{"type": "function", "function": {' }}
    {%- for field, value in f.items() if field != "return" %}
        {{- '"' + field + '": ' }}
        {%- if value is string %}
            {{- '"' + value + '"' }}
        {%- else %}
            {{- value|tojson }}
        {%- endif %}
        {{- "" if loop.last else ", " }}
    {%- endfor %}
    {{- "}}" }}
{%- endmacro %}
{{- bos_token }}
{%- for turn in turns %}
    {%- if turn["role"] == "assistant" and turn.tool_calls is defined and turn.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for call in turn.tool_calls %}
            {%- set json = call.function|tojson %}
            {%- if call.id is not defined or call.id|length != 9 %}
                {{- raise_exception("a call without an id of nine characters") }}
            {%- endif %}
            {{- json[:-1] + ', "id": "' + call.id + '"}' }}
            {%- if loop.last %}
                {{- "]" + eos_token }}
            {%- else %}
                {{- ", " }}
            {%- endif %}
        {%- endfor %}
    {%- elif turn["role"] == "user" %}
        {%- if tools is not none and turn == asked[-1] %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for t in tools %}
                {%- set t = t.function %}
                {{- offer(t) }}
                {{- "]" if loop.last else ", " }}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {{- "[INST] " }}
        {%- if orders is defined and loop.last %}
            {{- orders + "\n\n" }}
        {%- endif %}
        {{- turn["content"] + "[/INST]" }}
    {%- elif turn["role"] in ["tool", "tool_results"] %}
        {%- set result = turn.content %}
        {%- if result is defined and result.content is defined %}
            {%- set result = result.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + result|string + ", " }}
        {{- '"call_id": "' + turn.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- elif turn["role"] == "assistant" %}
        {{- " " + turn["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("no place for the role " + turn["role"]) }}
    {%- endif %}
{%- endfor %}
"""

TEMPLATES["zephyr"] = r"""{% for turn in messages %}
{% if turn['role'] == 'system' %}
{{ '<|system|>\n' + turn['content'] + eos_token }}
{% elif turn['role'] == 'assistant' %}
{{ '<|assistant|>\n' + turn['content'] + eos_token }}
{% elif turn['role'] == 'user' %}
{{ '<|user|>\n' + turn['content'] + eos_token }}
{% endif %}
{% if add_generation_prompt and loop.last %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

TEMPLATES["qwen25"] = r"""{%- set orders = messages[0]['content'] if messages[0]['role'] == 'system' else 'You are a model.' %}
{%- macro turn_of(who) %}{{- '<|im_start|>' + who }}{%- endmacro %}
{%- if tools %}
    {{- turn_of('system') + '\n' + orders }}
    {{- "\n\n# Tools\n\nWithin <tools></tools>:\n<tools>" }}
    {%- for t in tools %}
        {{- "\n" }}
        {{- t | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n\nAnswer with\n<tool_call>\n{\"name\": <name>, \"arguments\": <object>}\n</tool_call><|im_end|>\n" }}
{%- else %}
    {{- turn_of('system') + '\n' + orders + '<|im_end|>\n' }}
{%- endif %}
{%- for turn in messages %}
    {%- set calls = turn.role == "assistant" and turn.tool_calls %}
    {%- if calls %}
        {{- turn_of(turn.role) }}
        {%- if turn.content %}
            {{- '\n' + turn.content }}
        {%- endif %}
        {%- for call in turn.tool_calls %}
            {%- if call.function is defined %}
                {%- set call = call.function %}
            {%- endif %}
            {{- '\n<tool_call>\n{"name": "' ~ call.name ~ '", "arguments": ' }}
            {{- call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif turn.role == "tool" %}
        {%- if (messages[loop.index0 - 1].role != "tool") or (loop.index0 == 0) %}
            {{- turn_of('user') }}
        {%- endif %}
        {{- '\n<tool_response>\n' ~ turn.content ~ '\n</tool_response>' }}
        {%- if (messages[loop.index0 + 1].role != "tool") or loop.last %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- elif turn.role != "system" or not loop.first %}
        {{- turn_of(turn.role) + '\n' + turn.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- turn_of('assistant') + '\n' }}
{%- endif %}
"""

TEMPLATES["qwen3"] = r"""{%- set search = namespace(open=true, asked=messages|length - 1) %}
{%- for turn in messages[::-1] %}
    {%- set at = messages|length - loop.index %}
    {%- set is_result = turn.content is string and turn.content.startswith('<tool_response>') and turn.content.endswith('</tool_response>') %}
    {%- if search.open and turn.role == "user" and turn.content is string and not(is_result) %}
        {%- set search.open = false %}
        {%- set search.asked = at %}
    {%- endif %}
{%- endfor %}
{%- for turn in messages %}
    {%- set text = '' %}
    {%- if turn.content is string %}
        {%- set text = turn.content %}
    {%- endif %}
    {%- if turn.role == "assistant" %}
        {%- set thoughts = '' %}
        {%- if turn.reasoning_content is string %}
            {%- set thoughts = turn.reasoning_content %}
        {%- elif '</think>' in text %}
            {%- set thoughts = text.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set text = text.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>' + turn.role + '\n' }}
        {%- if loop.index0 <= search.asked %}
            {{- text }}
        {%- elif thoughts or loop.last %}
            {{- '<think>\n' + thoughts.strip('\n') + '\n</think>\n\n' + text.lstrip('\n') }}
        {%- else %}
            {{- text }}
        {%- endif %}
        {%- if turn.tool_calls %}
            {%- for call in turn.tool_calls %}
                {%- if not loop.first or text %}
                    {{- '\n' }}
                {%- endif %}
                {%- if call.function %}
                    {%- set call = call.function %}
                {%- endif %}
                {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
                {%- if call.arguments is not string %}
                    {{- call.arguments | tojson }}
                {%- else %}
                    {{- call.arguments }}
                {%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif turn.role in ["system", "user"] %}
        {{- '<|im_start|>' + turn.role + '\n' + text + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is false and enable_thinking is defined %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"""

TEMPLATES["gemma"] = r"""{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no orders, please') }}{% endif %}{% for turn in messages %}{% if (loop.index0 % 2 == 1) == (turn['role'] == 'user') %}{{ raise_exception('one after the other') }}{% endif %}{% set who = turn['role'] %}{% if (who == 'assistant') %}{% set who = 'model' %}{% endif %}{{ '<start_of_turn>' + who + '\n' + turn['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"""

TEMPLATES["gemma3"] = r"""{{ bos_token }}
{%- set turns = messages -%}
{%- set opening = "" -%}
{%- if turns[0]['role'] == 'system' -%}
    {%- set orders = turns[0]['content'] -%}
    {%- if orders is not string -%}
        {%- set orders = orders[0]['text'] -%}
    {%- endif -%}
    {%- set opening = orders + '

' -%}
    {%- set turns = turns[1:] -%}
{%- endif -%}
{%- for turn in turns -%}
    {%- set who = turn['role'] -%}
    {%- if (who == 'assistant') -%}
        {%- set who = "model" -%}
    {%- endif -%}
    {{ '<start_of_turn>' + who + '
' + (opening if loop.first else "") }}
    {%- set text = turn['content'] -%}
    {%- if text is string -%}
        {{ text | trim }}
    {%- elif text is iterable -%}
        {%- for part in text -%}
            {%- if part['type'] == 'text' -%}
                {{ part['text'] | trim }}
            {%- elif part['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("neither text nor parts") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""

TEMPLATES["phi3"] = r"""{% for turn in messages %}{% if turn['role'] == 'user' %}{{'<|user|>\n' + turn['content'] + '<|end|>\n'}}{% elif turn['role'] == 'assistant' %}{{'<|assistant|>\n' + turn['content'] + '<|end|>\n'}}{% elif turn['content'] and turn['role'] == 'system' %}{{'<|system|>\n' + turn['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if not add_generation_prompt %}{{ eos_token }}{% else %}{{ '<|assistant|>\n' }}{% endif %}"""

TEMPLATES["deepseek"] = r"""{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set state = namespace(called=false, has_results=false, fresh=true, orders='') %}{%- for turn in messages %}{%- if turn['role'] == 'system' %}{% set state.orders = turn['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{state.orders}}{%- for turn in messages %}{%- if turn['role'] == 'tool' %}{%- set state.has_results = true -%}{%- if not state.fresh %}{{'\n<|output|>' + turn['content']}}{%- else %}{{'<|outputs|>' + turn['content']}}{%- set state.fresh = false %}{%- endif %}{%- elif turn['role'] == 'user' %}{%- set state.has_results = false -%}{{'<|User|>' + turn['content']}}{%- elif turn['role'] == 'assistant' and turn['content'] is none %}{%- set state.has_results = false -%}{%- for call in turn['tool_calls']%}{%- if state.called %}{{'\n' + call['type']}}{%- else %}{{'<|Assistant|><|calls|>' + call['type'] + '<|sep|>' + call['function']['name'] + '\n' + '```json' + '\n' + call['function']['arguments']|tojson + '\n' + '```'}}{%- set state.called = true -%}{%- endif %}{%- endfor %}{%- elif turn['role'] == 'assistant' %}{%- if not state.has_results %}{% set text = turn['content'] %}{% if '</think>' in text %}{% set text = text.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + text + eos_token}}{%- else %}{{'<|outputs_end|>' + turn['content'] + eos_token}}{%- set state.has_results = false -%}{%- endif %}{%- endif %}{%- endfor -%}{% if state.has_results %}{{'<|outputs_end|>'}}{% elif add_generation_prompt %}{{'<|Assistant|>'}}{% endif %}"""

TEMPLATES["command_r"] = r"""{{ bos_token }}{% set turns, orders = messages, false %}{% if turns[0]['role'] == 'system' %}{% set orders = turns[0]['content'] %}{% set turns = turns[1:] %}{% elif false == true %}{% set orders = 'You are large.' %}{% endif %}{% if orders != false %}{{ '<|START|><|SYSTEM|>' + orders + '<|END|>' }}{% endif %}{% for turn in turns %}{% if (loop.index0 % 2 != 0) == (turn['role'] == 'user') %}{{ raise_exception('one speaks after the other') }}{% endif %}{% set text = turn['content'] %}{% if turn['role'] == 'assistant' %}{{ '<|START|><|BOT|>'  + text.strip() + '<|END|>' }}{% elif turn['role'] == 'user' %}{{ '<|START|><|USER|>' + text.strip() + '<|END|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|START|><|BOT|>' }}{% endif %}"""

TEMPLATES["vicuna"] = """{% if messages and messages[0].role == 'system' %}{{ messages[0].content }} {% endif %}{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content | trim }} {% elif m.role == 'assistant' %}ASSISTANT: {{ m.content | default('', true) | trim }}{{ eos_token }}{% endif %}{% endfor %}{{ 'ASSISTANT:' if add_generation_prompt }}"""

TEMPLATES["alpaca"] = """{% macro block(title, text='') -%}
### {{ title }}:
{{ text }}
{%- endmacro -%}
{% for m in messages %}
{% if m['role'] == 'user' %}
{{ block('Instruction', m['content']) }}

{% elif m['role'] == 'assistant' %}
{{ block('Response', text=m['content'] or '') }}

{% endif %}
{% endfor %}
{% if add_generation_prompt %}
{{ block('Response') }}
{% endif %}
"""

TEMPLATES["hermes_tools"] = r"""{%- macro type_name(spec) %}
{%- set simple = {
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "str"
} %}
{%- set kind = spec.type %}
{%- if simple[kind] is defined %}
    {{- simple[kind] }}
{%- elif kind == "object" %}
    {{- "dict[str, " + type_name(spec.additionalProperties) + ']' if spec.additionalProperties is defined else "dict" }}
{%- elif kind == "array" %}
    {{- "list[" +  type_name(spec|items) + "]"}}
{%- elif kind is iterable %}
    {%- for k in kind %}
      {{- "Union[" if loop.first else "," }}
      {{- type_name({"type": k}) }}
    {%- endfor %}
    {{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{{- bos_token + '<|im_start|>system\n' }}
{%- for f in tools or [] %}
    {%- if f.function is defined %}
        {%- set f = f.function %}
    {%- endif %}
    {%- set fields = f.parameters.properties %}
    {{- '{"type": "function", "function": {"name": "' + f.name + '", "description": "' + f.name + '(' }}
    {%- for field, spec in fields|items %}
        {{- ", " if not loop.first }}
        {{- field + ": " + type_name(spec) }}
    {%- endfor %}
    {{- ")" }}
    {%- for field, spec in fields|items %}
        {%- if loop.first %}
            {{- "  Takes:\n" }}
        {%- endif %}
        {{- "    " + field + "(" + type_name(spec) + "): " + spec.description|default('')|trim }}
    {%- endfor %}
    {{- '", "parameters": ' }}
    {%- if fields | length > 0 %}
        {{- f.parameters|tojson }}
    {%- else %}
        {{- "{}" }}
    {%- endif %}
    {{- "}}" }}
    {{- "" if loop.last else "\n" }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- for turn in messages %}
    {%- if turn.role == "tool" %}
        {%- if loop.previtem and loop.previtem.role != "tool" %}
            {{- '<|im_start|>tool\n' }}
        {%- endif %}
        {{- '<tool_response>\n' ~ turn.content ~ '\n</tool_response>' }}
        {%- if loop.last %}
            {{- '<|im_end|>' }}
        {%- else %}
            {{- '\n' }}
            {%- if loop.nextitem.role != "tool" %}
                {{- '<|im_end|>' }}
            {%- endif %}
        {%- endif %}
    {%- elif turn.role in ("system", "user") %}
        {{- '<|im_start|>' + turn.role + '\n' + turn.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
"""

TEMPLATES["granite"] = """{%- set orders = messages[0]['content'] if messages and messages[0]['role'] == 'system' else 'Knowledge Cutoff: ' ~ 'April' %}
{%- if documents %}{{ documents | map(attribute='text') | join('\\n') }}{%- endif %}
<|role|>system<|/role|>{{ orders }}<|eot|>
{% for turn in messages %}
  {%- if not loop.first or turn.role != 'system' %}
<|role|>{{ turn['role'] }}{% if turn['role'] == 'assistant' %}{{ ' ' }}{% generation %}{{ turn['content'] or '' }}{% endgeneration %}{% else %}<|/role|>{{ turn['content'] }}{% endif %}<|eot|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|role|>assistant<|/role|>{% endif %}"""

TEMPLATES["glm4"] = """[gMASK]<sop>{% for item in messages %}{% if item['tools'] is defined %}<|system|>
Tools: {{ item['tools'] | tojson(indent=2, ensure_ascii=True) }}{% endif %}{% if item['content'] %}<|{{ item['role'] }}|>{{ item['metadata'] }}
{{ item['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""

TEMPLATES["smollm"] = """{% for turn in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are small<|im_end|>
' }}{% endif %}{{'<|im_start|>' + turn['role'] + '
' + turn['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

TEMPLATES["olmo"] = """{{ eos_token }}{% for turn in messages %}
{% if turn['role'] == 'system' %}
{{ '<|system|>
' + turn['content'] }}
{% elif turn['role'] == 'user' %}
{{ '<|user|>
' + turn['content'] }}
{% elif turn['role'] == 'assistant' and not loop.last %}
{{ '<|assistant|>
' + turn['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>
' }}
{% endif %}
{% endfor %}"""

TEMPLATES["llama32_tools"] = r"""{{- bos_token }}
{%- set functions = custom_tools if custom_tools is defined else tools %}
{%- if not functions is defined %}
    {%- set functions = none %}
{%- endif %}
{%- set early = tools_in_user_message is defined and not tools_in_user_message %}
{%- if not date_string is defined %}
    {%- set date_string = "1 May 2020" %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") | length | string %}
    {%- endif %}
{%- endif %}
{%- set orders = "" %}
{%- if messages[0]['role'] == 'system' %}
    {%- set orders, messages = messages[0]['content']|trim, messages[1:] %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" ~ ("Environment: ipython\n" if functions is not none) }}
{{- "Cutoff: 2023\n" ~ "Date: " + date_string + "\n\n" }}
{%- set shown %}
    {%- for f in functions or [] %}
        {{- f | tojson(indent=4) + "\n\n" }}
    {%- endfor %}
{%- endset %}
{%- if early and functions is not none %}
    {{- "Answer with JSON like {\"name\": a name, \"parameters\": an object}.\n\n" ~ shown }}
{%- endif %}
{{- orders ~ "<|eot_id|>" }}
{%- if functions is not none and not early %}
    {%- if not messages | length %}
        {{- raise_exception("no user message to carry the tools") }}
    {%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\n\n' -}}
    {{- shown ~ messages[0]['content']|trim + "<|eot_id|>"}}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for turn in messages %}
    {%- set is_result = turn.role == "tool" or turn.role == "ipython" %}
    {%- if 'tool_calls' in turn %}
        {%- for call in turn.tool_calls %}
            {%- if loop.length > 1 %}
                {{- raise_exception("only single calls") }}
            {%- endif %}
            {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
            {{- '{"name": "' + call.function.name + '", "parameters": ' }}
            {{- call.function.arguments | tojson ~ "}" }}
        {%- endfor %}
    {%- elif is_result %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {{- turn.content | tojson if turn.content is mapping or turn.content is iterable else turn.content }}
    {%- else %}
        {{- '<|start_header_id|>' + turn['role'] + '<|end_header_id|>\n\n'+ turn['content'] | trim }}
    {%- endif %}
    {{- "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

TEMPLATES["llama4"] = r"""{{- bos_token }}
{%- macro head(who) %}{{- '<|header_start|>' + who + '<|header_end|>\n\n' }}{%- endmacro %}
{%- macro show(content) %}
    {%- if content is string %}
        {{- content }}
    {%- else %}
        {%- for part in content %}
            {%- if part['type'] == 'text' %}
                {{- part['text'] | trim }}
            {%- elif part['type'] == 'image' %}
                {{- '<|image|>' }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
{%- endmacro %}
{%- set orders = none %}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set orders = messages[0]['content'] %}
    {%- set orders = (orders if orders is string else orders[0]['text'])|trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- if tools or orders is not none %}
    {{- head("system") ~ (orders or "") }}
    {%- for f in tools or [] %}
        {{- "\n" ~ (f | tojson(indent=4)) }}
    {%- endfor %}
    {{- "<|eot|>" }}
{%- endif %}
{%- for turn in messages %}
    {%- if turn.role == "ipython" or turn.role == "tool" %}
        {{- head("ipython") ~ (turn.content if turn.content is string else turn.content | tojson) ~ "<|eot|>" }}
    {%- elif 'tool_calls' not in turn %}
        {{- head(turn['role']) ~ show(turn['content']) ~ "<|eot|>" }}
    {%- elif turn.tool_calls|length > 0 %}
        {{- head('assistant') ~ '<|python_start|>' }}
        {%- if turn['content'] is string %}
            {{- turn['content'] }}
        {%- endif %}
        {{- '<|python_end|>' }}
        {%- for call in turn.tool_calls | map(attribute='function') %}
            {{- '{"name": "' + call.name + '", "parameters": ' }}
            {{- call.arguments | tojson ~ "}" }}
        {%- endfor %}
        {{- "<|eot|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- head('assistant') }}
{%- endif %}
"""

TEMPLATES["mixtral"] = r"""{%- set has_orders = messages and messages[0]["role"] == "system" %}
{%- if has_orders %}
    {%- set orders = messages[0]["content"] %}
{%- endif %}

{{- bos_token }}
{%- for turn in messages[1 if has_orders else 0:] %}
    {%- set asks = turn["role"] == "user" %}
    {%- if asks == (loop.index0 % 2 == 1) %}
        {{- raise_exception('not in turns') }}
    {%- endif %}
    {%- if asks %}
        {{- " [INST] " }}
        {%- if orders is defined and loop.first %}
            {{- orders + "\n\n" }}
        {%- endif %}
        {{- turn["content"] + " [/INST]" }}
    {%- elif turn["role"] == "assistant" %}
        {{- " " + turn["content"] + eos_token}}
    {%- else %}
        {{- raise_exception("a turn of nobody's") }}
    {%- endif %}
{%- endfor %}
"""

TEMPLATES["mistral_tekken"] = r"""{#- Orders stand before the rest. #}
{%- if messages and messages[0]["role"] == "system" %}
    {%- set orders = messages[0]["content"] %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set turns = messages %}
{%- endif %}
{%- set offered = tools if tools is defined else none %}
{%- set last_asked = (turns | selectattr("role", "equalto", "user") | list)[-1] %}

{#- Without calls and their results, questions and answers take turns. #}
{%- set plain = namespace() %}
{%- set plain.seen = 0 %}
{%- for turn in turns if turn.role != "tool" and turn.role != "tool_results" and not (turn.tool_calls is defined and turn.tool_calls is not none) %}
    {%- if (turn["role"] == "user") == (plain.seen % 2 == 1) %}
        {{- raise_exception("two of a kind") }}
    {%- endif %}
    {%- set plain.seen = plain.seen + 1 %}
{%- endfor %}

{{- bos_token }}
{%- for turn in turns %}
    {%- set who = "caller" if turn.tool_calls is defined and turn.tool_calls is not none else turn["role"] %}
    {%- if who == "user" %}
        {%- if offered is not none and turn == last_asked %}
            {%- for item in offered %}
                {%- set item = item.function %}
                {{- "[AVAILABLE_TOOLS][" if loop.first else ", " }}
                {{- '{"type": "function", "function": {' }}
                {%- for field, value in item.items() if field != "return" %}
                    {{- '"' + field + '": ' }}
                    {{- '"' + value + '"' if value is string else value|tojson }}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if loop.last %}{{- "][/AVAILABLE_TOOLS]" }}{%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- "[INST]" + (orders + "\n\n" if loop.last and orders is defined else "") + turn["content"] + "[/INST]" }}
    {%- elif who == "caller" %}
        {%- for call in turn.tool_calls %}
            {{- "[TOOL_CALLS][" if loop.first else ", " }}
            {%- if (call.id | default("")) | length != 9 %}
                {{- raise_exception("an id of another length") }}
            {%- endif %}
            {%- set json = call.function|tojson %}
            {{- json[:-1] }}
            {{- ', "id": "' + call.id + '"}' }}
            {%- if loop.last %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif who == "assistant" %}
        {{- turn["content"] + eos_token}}
    {%- elif who in ("tool", "tool_results") %}
        {%- if turn.tool_call_id is not defined or turn.tool_call_id|length != 9 %}
            {{- raise_exception("whose result is this?") }}
        {%- endif %}
        {%- set inner = turn.content.content if turn.content is defined and turn.content.content is defined else turn.content %}
        {{- '[TOOL_RESULTS]{"content": ' + inner|string + ', "call_id": "' + turn.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("neither side") }}
    {%- endif %}
{%- endfor %}
"""

TEMPLATES["mistral_small"] = r"""{%- set fallback = "You are small.\nIt is " + (today or "Monday") + "." %}
{%- macro parts(list) %}
    {%- for p in list %}
        {%- if p['type'] in ['image_url', 'image'] %}
            {{- '[IMG]' }}
        {%- elif p['type'] == 'text' %}
            {{- p['text'] }}
        {%- else %}
            {{- raise_exception('a part of the type ' ~ p['type']) }}
        {%- endif %}
    {%- endfor %}
{%- endmacro %}
{%- macro plain(content) %}{{- content if content is string else content[0]['text'] }}{%- endmacro %}
{{- bos_token }}
{%- set turns = messages %}
{%- if turns and turns[0]['role'] == 'system' %}
    {%- set orders = plain(turns[0]['content']) %}
    {%- set turns = turns[1:] %}
{%- endif %}
{{- '[SYSTEM_PROMPT]' + (orders or fallback) + '[/SYSTEM_PROMPT]' }}
{%- for turn in turns %}
    {%- if turn['role'] == 'assistant' %}
        {{- plain(turn['content']) + eos_token }}
    {%- elif turn['role'] == 'user' %}
        {{- '[INST]' }}
        {{- turn['content'] if turn['content'] is string else parts(turn['content']) }}
        {{- '[/INST]' }}
    {%- elif turn['role'] == 'system' %}
        {{- '[SYSTEM_PROMPT]' + turn['content'] + '[/SYSTEM_PROMPT]' }}
    {%- else %}
        {{- raise_exception('this side has no voice: ' ~ turn['role']) }}
    {%- endif %}
{%- endfor %}"""

TEMPLATES["qwen2"] = r"""{% for turn in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a model.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + turn['role'] + '
' + turn['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

TEMPLATES["qwen25_vl"] = r"""{% set images = namespace(value=0) %}{% set videos = namespace(value=0) %}{% for turn in messages %}{% if loop.first and turn['role'] != 'system' %}<|im_start|>system
You see.<|im_end|>
{% endif %}<|im_start|>{{ turn['role'] }}
{% if turn['content'] is string %}{{ turn['content'] }}<|im_end|>
{% else %}{% for content in turn['content'] %}{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}{% set images.value = images.value + 1 %}{% if add_vision_id %}Picture {{ images.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' or 'video' in content %}{% set videos.value = videos.value + 1 %}{% if add_vision_id %}Video {{ videos.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

TEMPLATES["qwen3_tools"] = r"""{%- macro result(text) %}
    {{- '\n<tool_response>\n' ~ text ~ '\n</tool_response>' }}
{%- endmacro %}
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- "# Tools\n\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools><|im_end|>\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(open=true, asked=messages|length - 1) %}
{%- for turn in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.open and turn.role == "user" and turn.content is string and not(turn.content.startswith('<tool_response>') and turn.content.endswith('</tool_response>')) %}
        {%- set ns.open = false %}
        {%- set ns.asked = index %}
    {%- endif %}
{%- endfor %}
{%- for turn in messages %}
    {%- set content = turn.content if turn.content is string else '' %}
    {%- if (turn.role == "user") or (turn.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + turn.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif turn.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if turn.reasoning_content is defined and turn.reasoning_content is not none %}
            {%- set reasoning_content = turn.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.asked and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + turn.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + turn.role + '\n' + content }}
        {%- endif %}
        {%- for call in turn.tool_calls or [] %}
            {%- if (loop.first and content) or not loop.first %}{{- '\n' }}{%- endif %}
            {%- set call = call.function or call %}
            {{- '<tool_call>\n{"name": "' ~ call.name ~ '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif turn.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- result(turn.content) }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
"""

TEMPLATES["gemma2"] = r"""{{ bos_token }}{% if messages and messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}{% for turn in messages %}{% if loop.index0 is odd == (turn['role'] == 'user') %}{{ raise_exception('user, assistant, user, …') }}{% endif %}{{ '<start_of_turn>' + ('model' if turn['role'] == 'assistant' else turn['role']) + '
' + turn['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}"""

TEMPLATES["gemma3_tools"] = r"""{{ bos_token }}
{%- set sys = namespace(text='') -%}
{%- if messages and messages[0]['role'] in ['system', 'developer'] -%}
    {%- set sys.text = (messages[0]['content'] if messages[0]['content'] is string else messages[0]['content'] | map(attribute='text') | select('string') | join) ~ '\n\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- if tools -%}
    {%- set sys.text = sys.text ~ 'Tools: ' ~ (tools | map(attribute='function') | map(attribute='name') | join(', ')) ~ '\n\n' -%}
{%- endif -%}
{%- for turn in turns -%}
    {%- set role = {'assistant': 'model', 'tool': 'user'}.get(turn['role'], turn['role']) -%}
    {{ '<start_of_turn>' ~ role ~ '\n' ~ (sys.text if loop.first else '') }}
    {%- if turn['content'] is string -%}
        {{ turn['content'] | trim }}
    {%- elif turn['content'] is iterable -%}
        {%- for item in turn['content'] -%}
            {{ '<start_of_image>' if item['type'] == 'image' else item['text'] | trim }}
        {%- endfor -%}
    {%- elif turn['tool_calls'] -%}
        ```tool_code
{{ turn['tool_calls'][0]['function']['name'] }}({% for k, v in turn['tool_calls'][0]['function']['arguments'].items() %}{{ k }}={{ v | tojson }}{{ ', ' if not loop.last }}{% endfor %})
```
    {%- else -%}
        {{ raise_exception("neither text nor parts") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\n' }}
{%- endif -%}
"""

TEMPLATES["phi35"] = r"""{% for turn in messages %}{% if turn['role'] == 'system' and turn['content'] %}{{'<|system|>
' + turn['content'] + '<|end|>
'}}{% elif turn['role'] == 'user' %}{{'<|user|>
' + turn['content'] + '<|end|>
'}}{% elif turn['role'] == 'assistant' %}{{'<|assistant|>
' + turn['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}"""

TEMPLATES["phi4"] = r"""{% for turn in messages %}{% if (turn['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + turn['content'] + '<|im_end|>'}}{% elif (turn['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + turn['content'] + '<|im_end|>'}}{% elif (turn['role'] == 'assistant') %}{{'<|im_start|>assistant<|im_sep|>' + turn['content'] + '<|im_end|>'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"""

TEMPLATES["phi4_mini"] = r"""{% for turn in messages %}{% if turn['role'] == 'system' and 'tools' in turn and turn['tools'] is not none %}{{ '<|' + turn['role'] + '|>' + turn['content'] + '<|tool|>' + turn['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + turn['role'] + '|>' + turn['content'] + '<|end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"""

TEMPLATES["deepseek_v2"] = r"""{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for turn in messages %}{% if turn['role'] == 'user' %}{{ 'User: ' + turn['content'] + '\n\n' }}{% elif turn['role'] == 'assistant' %}{{ 'Assistant: ' + turn['content'] + eos_token }}{% elif turn['role'] == 'system' %}{{ turn['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""

TEMPLATES["deepseek_v3"] = r"""{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set state = namespace(orders='', has_orders=false, called=false, has_results=false, fresh=true, asked=false) %}{%- for turn in messages %}{%- if turn['role'] == 'system' %}{%- if state.has_orders %}{% set state.orders = state.orders + '\n\n' + turn['content'] %}{%- else %}{% set state.orders = turn['content'] %}{% set state.has_orders = true %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ state.orders }}{%- for turn in messages %}{%- if turn['role'] == 'tool' %}{%- set state.asked = false -%}{%- set state.has_results = true -%}{%- if state.fresh %}{{'<｜results▁begin｜>'}}{%- set state.fresh = false %}{%- else %}{{'\n'}}{%- endif %}{{'<｜result▁begin｜>' + turn['content'] + '<｜result▁end｜>'}}{%- elif turn['role'] == 'user' %}{%- set state.has_results = false -%}{%- set state.called = false -%}{%- set state.asked = true -%}{{'<｜User｜>' + turn['content'] + '<｜Assistant｜>'}}{%- elif turn['role'] == 'assistant' and turn['tool_calls'] is defined and turn['tool_calls'] is not none %}{%- if state.has_results %}{{'<｜results▁end｜>'}}{%- endif %}{%- set state.asked = false -%}{%- set state.called = false %}{%- set state.has_results = false -%}{%- set state.fresh = true %}{%- for call in turn['tool_calls'] %}{%- set name = call['type'] + '<｜sep｜>' + call['function']['name'] %}{%- if state.called %}{{'\n' + '<｜call▁begin｜>' + name}}{%- else %}{%- if turn['content'] is not none %}{{turn['content']}}{%- endif %}{{'<｜calls▁begin｜><｜call▁begin｜>' + name + '\n' + '```json' + '\n' + call['function']['arguments']|string + '\n' + '```' + '<｜call▁end｜>'}}{%- set state.called = true -%}{%- endif %}{%- endfor %}{{'<｜calls▁end｜><｜eos｜>'}}{%- elif turn['role'] == 'assistant' %}{%- set state.asked = false -%}{%- if state.has_results %}{{'<｜results▁end｜>'}}{%- set state.has_results = false -%}{%- endif %}{{turn['content'] + '<｜eos｜>'}}{%- endif %}{%- endfor -%}{% if state.has_results %}{{'<｜results▁end｜>'}}{% elif add_generation_prompt and not state.asked %}{{'<｜Assistant｜>'}}{% endif %}"""

TEMPLATES["deepseek_r1"] = r"""{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(system_prompt='') %}{%- for turn in messages %}{%- if turn['role'] == 'system' %}{% set ns.system_prompt = turn['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for turn in messages %}{%- if turn['role'] == 'user' %}{{'<｜User｜>' + turn['content']}}{%- endif %}{%- if turn['role'] == 'assistant' and turn['content'] is not none %}{% set content = turn['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + eos_token}}{%- endif %}{%- endfor -%}{% if add_generation_prompt %}{{'<｜Assistant｜><think>\n'}}{% endif %}"""

TEMPLATES["deepseek_v31"] = r"""{%- if not thinking is defined %}{%- set thinking = false %}{%- endif %}
{%- set ns = namespace(in_user=false, last='', count=0) %}
{{- bos_token }}
{%- for turn in messages if turn.role == 'system' %}{{- turn.content }}{%- if not loop.last %}{{- '\n\n' }}{%- endif %}{%- endfor %}
{%- for tool in tools or [] %}
{%- set f = tool.function %}
{{- '\n### ' ~ f.name ~ '\n' ~ f.description ~ '\n' ~ f.parameters | tojson ~ '\n' }}
{%- endfor %}
{%- for turn in messages %}
{%- if turn.role == 'user' %}{%- set ns.in_user = true %}{{- '<｜User｜>' ~ turn.content }}
{%- elif turn.role == 'assistant' %}
{{- '<｜Assistant｜>' if ns.in_user }}{%- set ns.in_user = false %}
{%- set text = turn.content or '' %}
{{- '</think>' ~ (text.split('</think>', 1)[1] if '</think>' in text else text) }}
{%- for call in turn.tool_calls or [] %}{%- set ns.count = ns.count + 1 %}{{- '<｜call｜>' ~ ns.count ~ ':' ~ call.function.name ~ '<｜sep｜>' ~ (call.function.arguments if call.function.arguments is string else call.function.arguments | tojson) }}{%- endfor %}
{{- eos_token }}
{%- elif turn.role == 'tool' %}{{- '<｜output｜>' ~ turn.content ~ '<｜/output｜>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt and ns.in_user %}{{- '<｜Assistant｜>' ~ ('<think>' if thinking else '</think>') }}{%- endif %}"""

TEMPLATES["command_r_tools"] = r"""{%- macro python_type(spec) -%}
{%- set known = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} -%}
{%- if known[spec.type] is defined -%}{{ known[spec.type] }}
{%- elif spec.type == "array" -%}{{ "List[" + python_type(spec['items']) + "]" }}
{%- elif spec.type == "object" -%}{{ "Dict" }}
{%- else -%}{{ "Any" }}{%- endif -%}
{%- endmacro -%}
{{ bos_token }}<|START|><|SYSTEM|># Preamble
{% if messages and messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}{% set rest = messages[1:] %}{% else %}You are large.{% set rest = messages %}{% endif %}

{% if tools %}
## Tools
{% for tool in tools %}
```python
def {{ tool.function.name }}({% for name, spec in tool.function.parameters.properties.items() %}{{ name }}: {% if name not in (tool.function.parameters.required or []) %}Optional[{{ python_type(spec) }}] = None{% else %}{{ python_type(spec) }}{% endif %}{% if not loop.last %}, {% endif %}{% endfor %}) -> List[Dict]:
    '''{{ tool.function.description }}{% if tool.function.parameters.properties %}

    Args:
{% for name, spec in tool.function.parameters.properties | dictsort %}
        {{ name }} ({{ python_type(spec) }}): {{ spec.description | default('no words') }}
{% endfor %}
{% endif %}
    '''
    pass
```
{%- if not loop.last %}


{% endif -%}
{% endfor %}
{% endif %}
{%- if documents %}<results>
{% for document in documents %}
Document: {{ loop.index0 }}
{% for key, value in document.items() %}
{{ key | capitalize }}: {{ value }}
{% endfor %}
{% endfor %}</results>{% endif %}<|END|>
{%- for turn in rest %}
{{- '<|START|><|' ~ {'user': 'USER', 'assistant': 'BOT', 'tool': 'SYSTEM', 'system': 'SYSTEM'}[turn.role] ~ '|>' }}
{%- if turn.tool_calls %}Action: ```json
[
{%- for call in turn.tool_calls %}
    {
        "tool_name": {{ call.function.name | tojson }},
        "parameters": {{ call.function.arguments | tojson(indent=4) | indent(8) }}
    }{{ ',' if not loop.last }}
{%- endfor %}
]```
{%- else %}{{ turn.content }}{% endif %}<|END|>
{%- endfor %}
{%- if add_generation_prompt %}<|START|><|BOT|>{% endif %}"""

TEMPLATES["granite_tools"] = r"""{%- if messages and messages[0]['role'] == 'system' %}
    {%- set orders = messages[0]['content'] %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set orders = "Cutoff: April.\nYou are stone." %}
    {%- if tools and documents %}
        {%- set orders = orders + " Use the documents and the tools." %}
    {%- elif tools %}
        {%- set orders = orders + " Use the tools." %}
    {%- elif documents %}
        {%- set orders = orders + " Use the documents." %}
    {%- endif %}
    {%- if 'citations' in (controls or {}) and documents %}
        {%- set orders = orders + '\n\nCite.' %}
    {%- endif %}
    {%- set turns = messages %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + orders + '<|end_of_text|>\n' }}
{%- if tools %}
    {{- '<|start_of_role|>tools<|end_of_role|>' }}
    {{- tools | tojson(indent=4) }}
    {{- '<|end_of_text|>\n' }}
{%- endif %}
{%- if documents %}
    {{- '<|start_of_role|>documents<|end_of_role|>' }}
    {%- for document in documents %}
        {{- 'Document ' + loop.index | string + '\n' }}
        {{- document['text'] }}
        {%- if not loop.last %}
            {{- '\n\n'}}
        {%- endif%}
    {%- endfor %}
    {{- '<|end_of_text|>\n' }}
{%- endif %}
{%- for turn in turns %}
    {{- '<|start_of_role|>' + turn['role'] + '<|end_of_role|>' }}
    {%- if turn['role'] == 'assistant' %}{% generation %}{{ turn['content'] | default('', true) }}{% endgeneration %}{%- else %}{{- turn['content'] | string }}{%- endif %}
    {{- '<|end_of_text|>\n' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant' }}
            {%- if controls %}
                {{- ' ' + controls | tojson()}}
            {%- endif %}
        {{- '<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}"""

TEMPLATES["olmo2"] = r"""{{ bos_token }}{% for turn in messages %}{% if turn['role'] == 'system' %}{{ '<|system|>
' + turn['content'] + '
' }}{% elif turn['role'] == 'user' %}{{ '<|user|>
' + turn['content'] + '
' }}{% elif turn['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>
'  + turn['content'] + eos_token + '
' }}{% else %}{{ '<|assistant|>
'  + turn['content'] + eos_token }}{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>
' }}{% endif %}{% endfor %}"""

TEMPLATES["smollm3"] = r"""{#- Defaults first. -#}
{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}
{%- if enable_thinking -%}{%- set reasoning_mode = "/think" -%}{%- else -%}{%- set reasoning_mode = "/no_think" -%}{%- endif -%}
{{- "<|im_start|>system\n" -}}
{%- if messages and messages[0].role == "system" -%}
  {%- set orders = messages[0].content -%}
  {%- if "/no_think" in orders -%}
    {%- set reasoning_mode = "/no_think" -%}
  {%- elif "/think" in orders -%}
    {%- set reasoning_mode = "/think" -%}
  {%- endif -%}
  {%- set custom = orders.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "## Facts\n\nMode: " ~ reasoning_mode ~ "\n\n" -}}
{%- if custom -%}{{- "## Orders\n\n" + custom + "\n\n" -}}{%- endif -%}
{%- if xml_tools or tools -%}
  {{- "### Tools\n\n" -}}
  {%- set ns = namespace(xml="You may call\n<tools>\n") -%}
  {%- for tool in xml_tools or tools -%}
    {%- set ns.xml = ns.xml ~ (tool | string) ~ "\n" -%}
  {%- endfor -%}
  {%- set xml = ns.xml + "</tools>" -%}
  {{- xml -}}
{%- endif -%}
{{- "<|im_end|>\n" -}}
{%- for turn in messages -%}
    {%- set content = turn.content if turn.content is string else "" -%}
    {%- if turn.role == "user" -%}
        {{ "<|im_start|>" + turn.role + "\n" + content + "<|im_end|>\n" }}
    {%- elif turn.role == "assistant" -%}
        {% generation %}
        {%- if reasoning_mode == "/think" -%}
            {{ "<|im_start|>assistant\n" + content.lstrip("\n") + "<|im_end|>\n" }}
        {%- else -%}
            {{ "<|im_start|>assistant\n" + "<think>\n\n</think>\n" + content.lstrip("\n") + "<|im_end|>\n" }}
        {%- endif -%}
        {% endgeneration %}
    {%- elif turn.role == "tool" -%}
    {{ "<|im_start|>" + "user\n" + content + "<|im_end|>\n" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ "<|im_start|>assistant\n" if reasoning_mode == "/think" else "<|im_start|>assistant\n<think>\n\n</think>\n" }}
{%- endif -%}"""

TEMPLATES["glm4_0414"] = r"""[gMASK]<sop>
{%- if tools -%}
<|system|>
# Tools
{% for tool in tools %}
{%- set function = tool.function if tool.get("function") else tool %}

## {{ function.name }}

{{ function | tojson(indent=4, ensure_ascii=False) }}
Give the arguments as JSON.
{%- endfor %}
{%- endif -%}
{%- for msg in messages %}
{%- if msg.role == 'system' %}
<|system|>
{{ msg.content }}
{%- endif %}
{%- endfor %}
{%- for turn in messages if turn.role != 'system' %}
    {%- set role = turn['role'] %}
    {%- set content = turn['content'] %}
    {%- set meta = turn.get("metadata", "") %}
    {%- if role == 'user' %}
<|user|>
{{ content }}
    {%- elif role == 'assistant' and not meta %}
<|assistant|>
{{ content }}
    {%- elif role == 'assistant' and meta %}
<|assistant|>{{ meta }}
{{ content }}
    {%- elif role in ['observation', 'tool'] %}
<|observation|>
{{ content }}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}<|assistant|>{% endif %}"""

TEMPLATES["glm45"] = r"""[gMASK]<sop>
{%- macro text_of(content) -%}
    {%- if content is mapping or content is not iterable -%}
        {{- content }}
    {%- elif content is not string -%}
        {%- for part in content -%}
            {{- part if part is string }}
            {{- part.text if part is mapping and part.type == 'text' }}
        {%- endfor -%}
    {%- else -%}
        {{- content }}
    {%- endif -%}
{%- endmacro -%}
{%- macro answer(turn, is_new) -%}
{%- set text = text_of(turn.content) %}
{%- set thoughts = '' %}
{%- if turn.reasoning_content is string %}
    {%- set thoughts = turn.reasoning_content %}
{%- elif '</think>' in text %}
    {%- set before = text.split('</think>')[0] %}
    {%- set thoughts = before.rstrip('\n').split('<think>')[-1].lstrip('\n') %}
    {%- set text = text.split('</think>')[-1].lstrip('\n') %}
{%- endif %}
{{- '\n<think>' + (thoughts.strip() if is_new else '') + '</think>' }}
{{- '\n' + text.strip() if text.strip() else '' }}
{%- endmacro -%}
{%- set last = namespace(asked=-1) %}
{%- for m in messages if m.role == 'user' %}
    {% set last.asked = messages.index(m) -%}
{%- endfor %}
{% for m in messages %}
{%- if m.role == 'system' -%}<|system|>
{{ text_of(m.content) }}
{%- elif m.role == 'assistant' -%}
<|assistant|>
{{- answer(m, loop.index0 > last.asked) }}
{% for call in m.tool_calls or [] %}
{%- set call = call.function if call.function else call %}
{{ '\n<tool_call>' + call.name }}
{% for key, value in call.arguments.items() %}
<arg_key>{{ key }}</arg_key>
<arg_value>{{ value if value is string else value | tojson(ensure_ascii=False) }}</arg_value>
{% endfor %}
</tool_call>{% endfor %}
{%- elif m.role == 'user' -%}<|user|>
{{ text_of(m.content) }}
{{- '' if enable_thinking is not defined or enable_thinking or text_of(m.content).endswith("/nothink") else '/nothink' -}}
{%- elif m.role == 'tool' -%}
{%- if (loop.previtem or {}).role != "tool" or m.content is not string %}
    {{- '<|observation|>' }}
{%- endif %}
{%- for result in ([m.content] if m.content is string else m.content) %}
    {{- '\n<tool_response>\n' ~ (result.output if result.output is defined else result) ~ '\n</tool_response>' }}
{%- endfor %}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    <|assistant|>{{- '' if enable_thinking is not defined or enable_thinking else '\n<think></think>' -}}
{%- endif -%}"""

TEMPLATES["gpt_oss"] = r"""{%- macro type_of(spec, required, level=0) -%}
    {%- if spec.enum is defined -%}
        {%- for e in spec.enum %}{{- e | tojson if e is string else e }}{{- ' | ' if not loop.last }}{%- endfor -%}
    {%- elif spec.type == "array" -%}
        {{- (type_of(spec['items'], none, level + 1) if spec['items'] else 'any') + "[]" }}
    {%- elif spec.type is defined and spec.type is iterable and spec.type is not string -%}
        {{- spec.type | join(' | ') }}
    {%- elif spec.type == "object" and spec.properties -%}
        {{- "{\n" }}
        {%- for name, inner in spec.properties.items() -%}
            {%- if inner.description %}{{- '  ' * (level + 1) ~ '// ' ~ inner.description ~ '\n' }}{%- endif %}
            {{- '  ' * (level + 1) ~ name }}{{- '?' if name not in (spec.required or []) }}{{- ': ' }}
            {{- type_of(inner, spec.required or [], level + 1) }}{{- ',\n' }}
        {%- endfor -%}
        {{- '  ' * level ~ "}" }}
    {%- elif spec.type in ["integer", "number"] -%}number
    {%- elif spec.type == "string" -%}
        {{- '"' ~ spec.default ~ '"' if spec.default else 'string' }}
    {%- else -%}any{%- endif -%}
    {%- if spec.nullable %}{{- " | null" }}{%- endif %}
{%- endmacro -%}
{%- macro system() -%}
    {{- "Knowledge: 2024\nEffort: " ~ (reasoning_effort | default('medium')) ~ "\n\n# Channels: analysis, final." }}
{%- endmacro -%}
{{- "<|start|>system<|message|>" ~ system() ~ "<|end|>" }}
{%- if messages and messages[0].role in ["developer", "system"] %}
    {%- set developer = messages[0].content %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set developer = "" %}
    {%- set turns = messages %}
{%- endif %}
{%- if developer or tools %}
    {{- "<|start|>developer<|message|>" ~ developer }}
    {%- for tool in tools or [] %}
        {{- "\ntype " + tool.function.name + " = (_: " }}
        {{- type_of(tool.function.parameters, tool.function.parameters.required) }}
        {{- ") => any;" }}
    {%- endfor %}
    {{- "<|end|>" }}
{%- endif %}
{%- set last = namespace(name=none) %}
{%- for turn in turns %}
    {%- if turn.role == 'assistant' %}
        {%- if "content" in turn and turn.content and "<|channel|>" in turn.content %}
            {{- raise_exception("channels are written by the template") }}
        {%- endif %}
        {%- if turn.tool_calls %}
            {%- set call = turn.tool_calls[0].function or turn.tool_calls[0] %}
            {%- if turn.content %}{{- "<|start|>assistant<|channel|>analysis<|message|>" + turn.content + "<|end|>" }}{%- endif %}
            {{- "<|start|>assistant to=functions." ~ call.name ~ "<|message|>" ~ call.arguments | tojson ~ "<|call|>" }}
            {%- set last.name = call.name %}
        {%- elif loop.last and not add_generation_prompt %}
            {%- if turn.reasoning_content %}{{- "<|start|>assistant<|channel|>analysis<|message|>" ~ turn.reasoning_content ~ "<|end|>" }}{%- endif %}
            {{- "<|start|>assistant<|channel|>final<|message|>" ~ turn.content ~ "<|return|>" }}
        {%- else %}
            {{- "<|start|>assistant<|channel|>final<|message|>" ~ turn.content ~ "<|end|>" }}
            {%- set last.name = none %}
        {%- endif %}
    {%- elif turn.role == 'tool' %}
        {%- if last.name is none %}
            {{- raise_exception("a result without a call") }}
        {%- endif %}
        {{- "<|start|>functions." ~ last.name ~ " to=assistant<|message|>" ~ turn.content | tojson ~ "<|end|>" }}
    {%- elif turn.role == 'user' %}
        {{- "<|start|>user<|message|>" ~ turn.content ~ "<|end|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|start|>assistant{%- endif %}"""

TEMPLATES["hermes2"] = r"""{{bos_token}}{% for turn in messages %}{% if loop.first and turn['role'] != 'system' %}{{ '<|im_start|>system\nYou are Hermes.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + turn['role'] + '\n' + turn['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

TEMPLATES["openchat"] = r"""{{ bos_token }}{% for turn in messages %}{{ 'GPT4 Correct ' + turn['role'].title() + ': ' + turn['content'] + '<|end_of_turn|>'}}{% endfor %}{% if add_generation_prompt %}{{ 'GPT4 Correct Assistant:' }}{% endif %}"""

TEMPLATES["falcon"] = r"""{% for turn in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}{{ (turn.role | capitalize) ~ ': ' ~ (turn.content | default('', true) | replace('\r\n', '\n') | replace('\n\n', '\n')) }}{% endfor %}{{ '\nAssistant:' if add_generation_prompt else '' }}"""

TEMPLATES["internlm"] = r"""{{ bos_token }}{%- set roles = {'system': 'System', 'user': 'User', 'assistant': 'Bot'} -%}
{%- macro turn(name) -%}<|im|>{{ name }}
{{ caller() }}<|/im|>
{% endmacro -%}
({% for group in messages | groupby('role') %}{{ group.grouper }}={{ group.list | length }};{% endfor %})
{%- for m in messages %}{% if m.role not in roles %}{% continue %}{% endif %}
{%- call turn(roles[m.role]) %}{{ m.content if m.content is string else '?' }}{% endcall -%}
{% endfor -%}
{%- filter trim %}   {{ 'Bot:' if add_generation_prompt }}   {% endfilter -%}"""
