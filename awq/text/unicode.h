// Unicode: properties of characters as Hugging Face tokenizers sees them. Its tables come from
// several versions of Unicode; where they differ from utf8proc's, unicode_tables.inc says so.
#pragma once

#include <optional>
#include <string>

namespace awq {

bool IsSpace(char32_t c);           // White_Space
bool IsWord(char32_t c);            // letters, marks, digits, connectors
bool IsPunctuation(char32_t c);     // ASCII symbols included
bool IsNumeric(char32_t c);         // Nd, Nl, No
bool IsMark(char32_t c);            // Mn, Mc, Me
bool IsNonspacingMark(char32_t c);  // Mn
bool IsOther(char32_t c);           // Cc, Cf, Co
void AppendLower(char32_t c, std::string& out);
// What the normal forms change here but not there, since it is newer than its tables.
bool IsNormalizedOnlyHere(char32_t c);

// A number for the script; nothing for the space and characters of no script. Hiragana and
// Katakana count as Han.
std::optional<int> ScriptOf(char32_t c);

}  // namespace awq
