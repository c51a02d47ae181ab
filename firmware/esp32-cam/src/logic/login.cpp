#include "login.h"

#include <cstdint>
#include <cstring>

namespace cam {

size_t basic_login(char* out, size_t room, const char* user, const char* password) {
  static constexpr char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static constexpr char SCHEME[] = "Basic ";
  const size_t users = strlen(user);
  const size_t count = users + 1 + strlen(password);
  const size_t length = sizeof SCHEME - 1 + (count + 2) / 3 * 4;
  if (room <= length) return 0;
  const auto letter = [&](size_t at) -> uint32_t {
    if (at >= count) return 0;
    const char c = at < users ? user[at] : at == users ? ':' : password[at - users - 1];
    return static_cast<unsigned char>(c);
  };
  memcpy(out, SCHEME, sizeof SCHEME - 1);
  char* to = out + sizeof SCHEME - 1;
  for (size_t at = 0; at < count; at += 3) {
    const uint32_t three = letter(at) << 16 | letter(at + 1) << 8 | letter(at + 2);
    *to++ = LETTERS[three >> 18 & 63];
    *to++ = LETTERS[three >> 12 & 63];
    *to++ = at + 1 < count ? LETTERS[three >> 6 & 63] : '=';
    *to++ = at + 2 < count ? LETTERS[three & 63] : '=';
  }
  *to = '\0';
  return length;
}

bool is_login(const char* header, const char* expected) {
  const size_t length = strlen(expected);
  unsigned difference = strlen(header) == length ? 0 : 1;
  for (size_t at = 0; at < length && header[at] != '\0'; at++) {
    difference |= static_cast<unsigned char>(header[at]) ^ static_cast<unsigned char>(expected[at]);
  }
  return difference == 0;
}

}  // namespace cam
