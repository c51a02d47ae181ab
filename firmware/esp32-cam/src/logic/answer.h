// Reads an answer as it comes, byte by byte, in a fixed amount of memory, whatever is sent. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "retry.h"

namespace cam {

class AnswerReader {
 public:
  void feed(const uint8_t* bytes, size_t length);

  /// The server has closed the connection.
  void end();

  /// Nothing more has to be read. A 200 is read to the end of its short body, since that may say no.
  bool is_done() const { return part_ == Part::Done || part_ == Part::Broken; }

  /// The head is whole; what is missing of the body can only take a success back.
  bool has_head() const { return part_ == Part::Body || part_ == Part::Done; }

  Outcome outcome() const;

 private:
  enum class Part : uint8_t { StatusLine, Fields, Body, Done, Broken };

  void take(char c);
  void end_line();
  void status_line();
  void field();
  void head_ends();
  bool is_field(const char* name) const;
  const char* value() const;

  /// What matters of a line stands at its begin; the rest of a longer one is dropped.
  static constexpr size_t LINE_ROOM = 128;
  static constexpr size_t HEAD_LIMIT = 8192;
  static constexpr size_t BODY_ROOM = 512;

  Part part_ = Part::StatusLine;
  Outcome outcome_;
  char line_[LINE_ROOM + 1] = {};
  size_t line_length_ = 0;
  size_t head_bytes_ = 0;
  char body_[BODY_ROOM + 1] = {};
  size_t body_length_ = 0;
  bool has_length_ = false;
  uint32_t length_ = 0;
};

}  // namespace cam
