// One attempt to push a picture, and all attempts for one: over any connection and by any clock, so that a test can be
// the network. The order of things is here; what answers mean is in retry.h.
#pragma once

#include "picture.h"
#include "retry.h"
#include "settings.h"

namespace cam {

/// A TCP connection that never blocks for long.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual bool open(const char* host, uint16_t port, uint32_t limit_ms) = 0;
  /// Bytes that were taken, 0 if none can be now, negative if the connection is gone.
  virtual int write(const uint8_t* bytes, size_t length) = 0;
  /// Bytes that came, 0 if none are there now, negative if no more will come.
  virtual int read(uint8_t* bytes, size_t room) = 0;
  virtual void close() = 0;
};

/// Milliseconds that only go on; the difference of two is right also where the counter has wrapped, after 49 days.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint32_t now_ms() = 0;
  virtual void wait_ms(uint32_t duration_ms) = 0;
};

struct TimeLimits {
  uint32_t connect_ms = 5000;
  /// While sending: no byte was taken for so long.
  uint32_t stall_ms = 15000;
  /// From the last byte sent to the head of the answer. The server has synced its disk by then.
  uint32_t answer_ms = 30000;
  /// From the head of a 200 to the end of its body.
  uint32_t body_ms = 2000;
  /// All of it, for a peer that lets through a byte now and then.
  uint32_t whole_ms = 120000;
};

/// Sends one request and reads its answer. A server that answers before it has everything (413, 401) is heard.
Outcome attempt(Connection& connection, Clock& clock, const Settings& settings, const Picture& picture,
                const TimeLimits& limits);

/// How a picture ended.
struct Delivery {
  bool is_stored = false;
  Failure failure = Failure::None;
  uint32_t attempts = 0;
};

/// Told before each pause between two attempts.
using OnRetry = void (*)(void* context, const Decision& decision, uint32_t attempts);

Delivery deliver(Connection& connection, Clock& clock, uint32_t (*random)(), const Settings& settings,
                 const Picture& picture, const TimeLimits& limits, const Patience& patience, OnRetry on_retry = nullptr,
                 void* context = nullptr);

}  // namespace cam
