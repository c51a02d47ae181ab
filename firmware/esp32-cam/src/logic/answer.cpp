#include "answer.h"

#include <cstring>

namespace cam {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// A number and nothing else; `most` if it is larger.
bool number(const char* text, uint32_t most, uint32_t& value) {
  if (!is_digit(*text)) return false;
  uint64_t sum = 0;
  for (; is_digit(*text); text++) {
    sum = sum * 10 + static_cast<uint64_t>(*text - '0');
    if (sum > most) sum = most;
  }
  while (is_blank(*text)) text++;
  value = static_cast<uint32_t>(sum);
  return *text == '\0';
}

/// Whether JSON says `"success": false`, however it is spaced.
bool says_failure(const char* body) {
  static constexpr char NAME[] = "\"success\"";
  const char* at = strstr(body, NAME);
  if (at == nullptr) return false;
  at += sizeof NAME - 1;
  while (is_blank(*at)) at++;
  if (*at != ':') return false;
  at++;
  while (is_blank(*at)) at++;
  return strncmp(at, "false", 5) == 0;
}

bool begins_with_a_tag(const char* body) {
  while (is_blank(*body)) body++;
  return *body == '<';
}

}  // namespace

void AnswerReader::feed(const uint8_t* bytes, size_t length) {
  for (size_t at = 0; at < length && !is_done(); at++) take(static_cast<char>(bytes[at]));
}

void AnswerReader::end() {
  if (part_ == Part::Body) {
    part_ = Part::Done;
  } else if (part_ != Part::Done) {
    part_ = Part::Broken;
  }
}

void AnswerReader::take(char c) {
  if (part_ == Part::Body) {
    body_[body_length_++] = c == '\0' ? ' ' : c;
    if (body_length_ == BODY_ROOM || (has_length_ && body_length_ >= length_)) part_ = Part::Done;
    return;
  }
  if (++head_bytes_ > HEAD_LIMIT) {
    part_ = Part::Broken;
  } else if (c == '\n') {
    end_line();
  } else if (line_length_ < LINE_ROOM) {
    line_[line_length_++] = c == '\0' ? '?' : c;
  }
}

void AnswerReader::end_line() {
  while (line_length_ > 0 && is_blank(line_[line_length_ - 1])) line_length_--;
  line_[line_length_] = '\0';
  if (part_ == Part::StatusLine) {
    status_line();
  } else if (line_length_ == 0) {
    head_ends();
  } else {
    field();
  }
  line_length_ = 0;
}

void AnswerReader::status_line() {
  // "HTTP/1.1 200 OK", where servers of small devices leave the words out.
  const bool is_http = strncmp(line_, "HTTP/1.", 7) == 0 && is_digit(line_[7]) && line_[8] == ' ';
  const char* digits = line_ + 9;
  if (!is_http || !is_digit(digits[0]) || !is_digit(digits[1]) || !is_digit(digits[2]) || is_digit(digits[3])) {
    part_ = Part::Broken;
    return;
  }
  outcome_ = Outcome{};
  outcome_.status = static_cast<uint16_t>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
  has_length_ = false;
  part_ = outcome_.status < 100 ? Part::Broken : Part::Fields;
}

bool AnswerReader::is_field(const char* name) const {
  size_t at = 0;
  for (; name[at] != '\0'; at++) {
    if (lower(line_[at]) != name[at]) return false;
  }
  return line_[at] == ':';
}

const char* AnswerReader::value() const {
  const char* at = strchr(line_, ':');
  at++;
  while (is_blank(*at)) at++;
  return at;
}

void AnswerReader::field() {
  uint32_t known = 0;
  if (is_field("retry-after")) {
    if (number(value(), UINT32_MAX, known)) outcome_.retry_after_s = known;
  } else if (is_field("content-length")) {
    has_length_ = number(value(), UINT32_MAX, length_);
  } else if (is_field("content-type")) {
    const char* type = value();
    static constexpr char PAGE[] = "text/html";
    outcome_.is_page = true;
    for (size_t at = 0; at < sizeof PAGE - 1; at++) {
      if (lower(type[at]) != PAGE[at]) {
        outcome_.is_page = false;
        break;
      }
    }
  }
}

void AnswerReader::head_ends() {
  if (outcome_.status < 200) {
    // 100 Continue and its kin come before the answer.
    part_ = Part::StatusLine;
    return;
  }
  outcome_.is_answered = true;
  const bool has_body = outcome_.status == 200 && !(has_length_ && length_ == 0);
  part_ = has_body ? Part::Body : Part::Done;
}

Outcome AnswerReader::outcome() const {
  if (!has_head()) return Outcome{};
  Outcome outcome = outcome_;
  outcome.says_no = outcome.status == 200 && says_failure(body_);
  // Small servers call a bare "OK" HTML, too.
  outcome.is_page = outcome.status == 200 && outcome.is_page && begins_with_a_tag(body_);
  return outcome;
}

}  // namespace cam
