// What a board is told in secrets.h, as values, and which values cannot be. Everything is judged while it compiles, so
// a mistake never reaches a board on a pole; the compiler names all of them at once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cam {

struct Settings {
  const char* wifi_ssid = "";
  const char* wifi_password = "";
  /// First part of the file names.
  const char* device = "";
  /// Name or address of the server that pictures are pushed to; empty: none are.
  const char* upload_host = "";
  uint16_t upload_port = 9000;
  const char* upload_path = "/upload";
  /// Empty: no `Authorization` is sent.
  const char* upload_token = "";
  /// Seconds from one picture to the next; 0: none by time.
  uint32_t period_s = 0;
  /// GPIO of a contact to ground; negative: none.
  int button_pin = -1;
  /// Whether `/`, `/capture` and `/stream` are served.
  bool serves = true;
  /// Log-in of these pages; without a password they are open.
  const char* view_user = "";
  const char* view_password = "";
};

constexpr size_t length_of(const char* text) {
  size_t length = 0;
  while (text[length] != '\0') length++;
  return length;
}

constexpr bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

/// Becomes part of a file name and of a header.
constexpr bool is_device(const char* text) {
  const size_t length = length_of(text);
  if (length < 1 || length > 32) return false;
  for (size_t at = 0; at < length; at++) {
    if (!is_word(text[at])) return false;
  }
  return true;
}

/// Longest token; the head of a request has room for it.
constexpr size_t TOKEN_MAX = 256;

/// Stands in a header or in the request line: visible, so that it can end neither.
constexpr bool is_visible(const char* text, size_t length_max) {
  const size_t length = length_of(text);
  if (length > length_max) return false;
  for (size_t at = 0; at < length; at++) {
    if (text[at] <= ' ' || text[at] > '~') return false;
  }
  return true;
}

/// A user name of HTTP Basic, which ends with a colon.
constexpr bool is_user(const char* text) {
  for (size_t at = 0; text[at] != '\0'; at++) {
    if (text[at] == ':') return false;
  }
  return is_visible(text, 64);
}

/// A name or an IPv4 address, and nothing around it: no scheme, port or path.
constexpr bool is_host(const char* text) {
  const size_t length = length_of(text);
  if (length > 253) return false;
  for (size_t at = 0; at < length; at++) {
    if (!is_word(text[at]) && text[at] != '.') return false;
  }
  return true;
}

constexpr bool is_path(const char* text) { return text[0] == '/' && is_visible(text, 128); }

/// Of the AI-Thinker board: what is free and harmless while the board starts. 12, 2 and 15 choose how it starts, 16 is
/// the PSRAM's, 4 the flash light, 0 the camera's clock, 1 and 3 the serial line.
constexpr bool is_button_pin(int pin) { return pin == 13 || pin == 14 || pin < 0; }

/// 0, or 5 seconds to 10 days: a shorter period is a film, and a longer one does not fit the clock of milliseconds.
constexpr bool is_period(uint32_t seconds) { return seconds == 0 || (seconds >= 5 && seconds <= 864000); }

/// A WPA2 passphrase, or none for an open network.
constexpr bool is_passphrase(const char* text) {
  const size_t length = length_of(text);
  return length == 0 || (length >= 8 && length <= 63);
}

/// What cannot be together.
constexpr bool does_something(bool pushes, bool serves, uint32_t period_s, int button_pin) {
  return serves || (pushes && (period_s > 0 || button_pin >= 0));
}

constexpr bool has_somewhere_to_push(bool pushes, uint32_t period_s, int button_pin) {
  return pushes || (period_s == 0 && button_pin < 0);
}

}  // namespace cam
