#include "attempt.h"

#include "answer.h"
#include "request.h"

namespace cam {

namespace {

/// A full TCP segment of Wi-Fi; between two the answer is looked for.
constexpr size_t PIECE = 1436;

/// Between two looks at a connection on which nothing moves.
constexpr uint32_t POLL_MS = 5;

/// What goes over one connection.
class Exchange {
 public:
  Exchange(Connection& connection, Clock& clock, const TimeLimits& limits)
      : connection_(connection), clock_(clock), limits_(limits), began_(clock.now_ms()) {}

  /// Whether there is anything to go on for: not if the server has spoken, and not if nothing moves any more.
  bool send(const uint8_t* bytes, size_t length) {
    uint32_t moved = clock_.now_ms();
    for (size_t sent = 0; sent < length;) {
      hear();
      if (reader_.is_done() || reader_.has_head()) return false;
      const size_t left = length - sent;
      const int taken = connection_.write(bytes + sent, left < PIECE ? left : PIECE);
      // What the server said before it hung up may lie here still.
      if (taken < 0) return false;
      if (taken > 0) {
        sent += static_cast<size_t>(taken);
        moved = clock_.now_ms();
      }
      if (since(moved) >= limits_.stall_ms || since(began_) >= limits_.whole_ms) {
        is_stuck_ = true;
        return false;
      }
      if (taken == 0) clock_.wait_ms(POLL_MS);
    }
    return true;
  }

  Outcome answer() {
    const uint32_t sent = clock_.now_ms();
    uint32_t head = sent;
    bool had_head = reader_.has_head();
    while (!is_stuck_ && !reader_.is_done()) {
      const bool came = hear();
      if (reader_.has_head() && !had_head) {
        had_head = true;
        head = clock_.now_ms();
      }
      const bool is_late = had_head ? since(head) >= limits_.body_ms : since(sent) >= limits_.answer_ms;
      if (is_late || since(began_) >= limits_.whole_ms) break;
      if (!came) clock_.wait_ms(POLL_MS);
    }
    return reader_.outcome();
  }

 private:
  uint32_t since(uint32_t then) { return clock_.now_ms() - then; }

  /// Takes what came; whether anything did.
  bool hear() {
    uint8_t bytes[256];
    const int count = connection_.read(bytes, sizeof bytes);
    if (count > 0) reader_.feed(bytes, static_cast<size_t>(count));
    if (count < 0) reader_.end();
    return count != 0;
  }

  Connection& connection_;
  Clock& clock_;
  const TimeLimits& limits_;
  uint32_t began_;
  AnswerReader reader_;
  bool is_stuck_ = false;
};

}  // namespace

Outcome attempt(Connection& connection, Clock& clock, const Settings& settings, const Picture& picture,
                const TimeLimits& limits) {
  char head[HEAD_MAX];
  const size_t length = request_head(head, sizeof head, settings, picture.id, picture.length);
  if (length == 0 || !connection.open(settings.upload_host, settings.upload_port, limits.connect_ms)) {
    connection.close();
    return Outcome{};
  }
  Exchange exchange(connection, clock, limits);
  if (exchange.send(reinterpret_cast<const uint8_t*>(head), length)) {
    exchange.send(picture.bytes.get(), picture.length);
  }
  const Outcome outcome = exchange.answer();
  connection.close();
  return outcome;
}

Delivery deliver(Connection& connection, Clock& clock, uint32_t (*random)(), const Settings& settings,
                 const Picture& picture, const TimeLimits& limits, const Patience& patience, OnRetry on_retry,
                 void* context) {
  const uint32_t began = clock.now_ms();
  for (uint32_t attempts = 1;; attempts++) {
    const Outcome outcome = attempt(connection, clock, settings, picture, limits);
    const Decision decision = decide(outcome, attempts, clock.now_ms() - began, random(), patience);
    if (decision.step == Step::Stored) return {true, Failure::None, attempts};
    if (decision.step == Step::GiveUp) return {false, decision.failure, attempts};
    if (on_retry != nullptr) on_retry(context, decision, attempts);
    clock.wait_ms(decision.wait_ms);
  }
}

}  // namespace cam
